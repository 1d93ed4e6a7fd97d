package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The permissions that reading and writing a mailbox need, the least first [D
// user-list-messages, user-post-messages].
var (
	toRead  = []string{"Mail.ReadBasic", "Mail.ReadBasic.All", "Mail.Read", "Mail.ReadWrite"}
	toWrite = []string{"Mail.ReadWrite"}
	toOpen  = []string{"Mail.Read", "Mail.ReadWrite"} // the body of a message
)

// mailboxAPI answers below users/{id}; false means that nothing is there.
func (d *Double) mailboxAPI(w http.ResponseWriter, r *http.Request, id string, path []string) bool {
	a := d.findAction(r.Method, path)
	if a.do == nil {
		return false
	}
	x := d.begin(w, r, a.endpoint, fold(id))
	defer x.end()
	x.run(func() *answer {
		if refused := d.admit(x, id, a.needs); refused != nil {
			return refused
		}
		return a.do(x)
	})
	return true
}

// action is one operation on a mailbox.
type action struct {
	endpoint string
	needs    []string // one of these; every application here has Mail.Send
	do       func(x *exchange) *answer
}

func (d *Double) findAction(method string, path []string) action {
	where := strings.ToLower(path[0])
	if len(path) == 3 && where == "mailfolders" && fold(path[2]) == "messages" && method == http.MethodGet {
		return action{"search", toRead, func(x *exchange) *answer { return d.searchFolder(x, fold(path[1])) }}
	}
	if where != "messages" {
		return action{}
	}
	verb := method
	if len(path) > 2 {
		verb += " " + strings.ToLower(strings.TrimPrefix(path[len(path)-1], "microsoft.graph."))
	}
	return d.messageAction(verb, path)
}

// messageAction finds the operation on messages by method and last segment.
func (d *Double) messageAction(verb string, path []string) action {
	id := path[min(1, len(path)-1)]
	switch {
	case len(path) == 1 && verb == "GET":
		return action{"search", toRead, func(x *exchange) *answer { return d.searchFolder(x, "") }}
	case len(path) == 1 && verb == "POST":
		return action{"createDraft", toWrite, d.createDraft}
	case len(path) == 2 && verb == "DELETE":
		return action{"deleteDraft", toWrite, func(x *exchange) *answer { return d.deleteDraft(x, id) }}
	case len(path) == 3 && verb == "GET $value":
		return action{"mime", toOpen, func(x *exchange) *answer { return d.mimeOf(x, id) }}
	case len(path) == 3 && verb == "POST send":
		return action{"send", []string{"Mail.Send"}, func(x *exchange) *answer { return d.sendDraft(x, id) }}
	case len(path) == 3 && verb == "POST attachments":
		return action{"attach", toWrite, func(x *exchange) *answer { return d.attach(x, id) }}
	case len(path) == 3 && verb == "GET attachments":
		return action{"attachments", toRead, func(x *exchange) *answer { return d.listFiles(x, id) }}
	case len(path) == 4 && verb == "POST createuploadsession" && fold(path[2]) == "attachments":
		return action{"createUploadSession", toWrite, func(x *exchange) *answer { return d.createSession(x, id) }}
	}
	return action{}
}

// admit makes the checks that come before the content.
func (d *Double) admit(x *exchange, id string, needs []string) *answer {
	for _, refused := range []func() *answer{
		func() *answer { return d.tokens.check(x.r.Header.Get("Authorization")) },
		func() *answer { return d.throttled(x) },
		func() *answer { return d.mailboxExists(id) },
		func() *answer { return d.mayUse(x, needs) },
	} {
		if a := refused(); a != nil {
			return a
		}
	}
	return nil
}

// permitted refuses what neither a role nor consent covers, in the words of
// the reports [I].
func (d *Double) permitted(needs []string) *answer {
	if needs == nil || slices.Contains(needs, "Mail.Send") || d.tenant.has(needs...) {
		return nil
	}
	return graphError(http.StatusForbidden, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
}

// mailItem is a message in a folder, as far as searches show it.
type mailItem struct {
	id, messageID, subject, from string
	draft                        bool
	sent, received               time.Time
	header                       string // of what was received
	to, cc, bcc                  []string
	properties                   map[string]string
}

// searchFolder lists messages by $filter, $select, $top and $skip [D
// user-list-messages]; folder is empty for all of them.
func (d *Double) searchFolder(x *exchange, folder string) *answer {
	query := x.r.URL.Query()
	matches, err := parseFilter(query.Get("$filter"))
	if err != nil {
		return graphError(http.StatusBadRequest, "ErrorInvalidUrlQueryFilter", oneLine(err))
	}
	top, skip := number(query, "$top", 10), number(query, "$skip", 0)
	if top < 1 || top > 1000 || skip < 0 { // [D user-list-messages] 1 to 1000
		return graphError(http.StatusBadRequest, "ErrorInvalidParameter", "The value of $top or $skip is out of range.")
	}
	found := slices.DeleteFunc(d.items(x.mailbox, folder), func(it mailItem) bool { return !matches(it) })
	switch query.Get("$orderby") {
	case "":
	case "receivedDateTime", "receivedDateTime asc":
		slices.SortStableFunc(found, func(a, b mailItem) int { return a.received.Compare(b.received) })
	default:
		return graphError(http.StatusBadRequest, "ErrorInvalidUrlQuery", "The order is not supported by the sandbox.")
	}
	page := found[min(skip, len(found)):min(skip+top, len(found))]
	value := make([]map[string]any, 0, len(page))
	for _, it := range page {
		value = append(value, it.resource(query.Get("$select")))
	}
	payload := map[string]any{
		"@odata.context": fmt.Sprintf("https://graph.microsoft.com/v1.0/$metadata#users('%s')/messages",
			url.PathEscape(x.mailbox)),
		"value": value,
	}
	if skip+top < len(found) {
		query.Set("$skip", strconv.Itoa(skip+top))
		payload["@odata.nextLink"] = "https://" + x.r.Host + x.r.URL.EscapedPath() + "?" + query.Encode()
	}
	return jsonAnswer(http.StatusOK, payload)
}

func number(query url.Values, name string, instead int) int {
	if !query.Has(name) {
		return instead
	}
	n, err := strconv.Atoi(query.Get(name))
	if err != nil {
		return -1
	}
	return n
}

// items lists a folder of a mailbox: what was accepted from it lies in Sent
// Items, as far as the double remembers it and SetSentItemsDelay lets it show.
func (d *Double) items(mailbox, folder string) []mailItem {
	var list []mailItem
	if folder == "" || folder == "sentitems" {
		shown := d.o.Now().Add(-time.Duration(d.late.Load()))
		for _, m := range d.store.after(0, 0) {
			if m.Mailbox == mailbox && !m.At.After(shown) {
				list = append(list, sentItem(m))
			}
		}
	}
	list = append(list, d.receivedItems(mailbox, folder)...)
	if folder == "" || folder == "drafts" {
		list = append(list, d.draftItems(mailbox)...)
	}
	return list
}

func sentItem(m Message) mailItem {
	return mailItem{
		id: fmt.Sprintf("AAMkSent%08dAA=", m.ID), messageID: m.MessageID, subject: m.Subject, from: m.From,
		sent: m.At.UTC().Truncate(time.Second), to: m.To, cc: m.Cc, bcc: m.Bcc,
	}
}

// resource is the message resource with the properties of $select.
func (it mailItem) resource(selected string) map[string]any {
	all := map[string]any{
		"internetMessageId": it.messageID, "subject": it.subject, "isDraft": it.draft,
		"sentDateTime": it.sent.Format(time.RFC3339), "toRecipients": resourceRecipients(it.to),
		"ccRecipients": resourceRecipients(it.cc), "bccRecipients": resourceRecipients(it.bcc),
	}
	if !it.received.IsZero() {
		all["receivedDateTime"], all["isRead"] = it.received.Format(time.RFC3339), false
	}
	if strings.Contains(selected, "internetMessageHeaders") && it.header != "" {
		all["internetMessageHeaders"] = internetHeaders(it.header)
	}
	if selected != "" {
		wanted := strings.Split(selected, ",")
		for name := range all {
			if !slices.Contains(wanted, name) {
				delete(all, name)
			}
		}
	}
	all["id"], all["@odata.etag"] = it.id, `W/"CQAAABYAAAD"`
	return all
}

func resourceRecipients(addresses []string) []any {
	list := make([]any, 0, len(addresses))
	for _, a := range addresses {
		list = append(list, map[string]any{"emailAddress": map[string]string{"name": a, "address": a}})
	}
	return list
}
