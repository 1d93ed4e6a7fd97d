package graph

import (
	"bytes"
	"cmp"
	"encoding/json"

	"graphrelay/relay/outcome"
	"graphrelay/relay/text"

	jsonserialization "github.com/microsoft/kiota-serialization-json-go"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"
)

// serviceError is what an error body of Graph says. Without a code it is not an
// error of Graph, but comes from a front door, a proxy or a broken connection.
type serviceError struct {
	codes     []string // error.code, then those of the inner errors, outermost first
	message   string
	requestID string
}

// code is the outermost code, or empty.
func (e serviceError) code() string {
	if len(e.codes) == 0 {
		return ""
	}
	return e.codes[0]
}

// readServiceError reads any body whatever. The SDK's error model comes first; where it
// gives up, over a field of another type for instance, only code and message are read.
func readServiceError(body []byte) serviceError {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if e := readModel(body); e.code() != "" {
		return e
	}
	var plain struct{ Error struct{ Code, Message any } }
	if json.Unmarshal(body, &plain) != nil {
		return serviceError{}
	}
	code, _ := plain.Error.Code.(string)
	message, _ := plain.Error.Message.(string)
	return serviceError{codes: addCode(nil, code), message: message}
}

// readModel reads the body by models/odataerrors.
func readModel(body []byte) (e serviceError) {
	// The model panics on what its schema calls impossible.
	defer func() {
		if recover() != nil {
			e = serviceError{}
		}
	}()
	main := mainError(body)
	if main == nil {
		return serviceError{}
	}
	e.codes = addCode(e.codes, deref(main.GetCode()))
	e.message = deref(main.GetMessage())
	e.readInner(main)
	return e
}

func mainError(body []byte) odataerrors.MainErrorable {
	node, err := jsonserialization.NewJsonParseNode(body)
	if err != nil || node == nil {
		return nil
	}
	value, err := node.GetObjectValue(odataerrors.CreateODataErrorFromDiscriminatorValue)
	odata, ok := value.(odataerrors.ODataErrorable)
	if err != nil || !ok {
		return nil
	}
	return odata.GetErrorEscaped()
}

// readInner walks the inner errors. The schema knows only the first, without its code;
// the rest is additional data. OData spells the name innererror, Graph innerError.
func (e *serviceError) readInner(main odataerrors.MainErrorable) {
	data := nested(main.GetAdditionalData())
	if inner := main.GetInnerError(); inner != nil {
		e.requestID = deref(inner.GetRequestId())
		data = inner.GetAdditionalData()
	}
	for depth := 0; data != nil && depth < 8; depth++ {
		e.codes = addCode(e.codes, anyText(data["code"]))
		e.requestID = cmp.Or(e.requestID, anyText(data["request-id"]))
		data = nested(data)
	}
}

// nested finds the next inner error in additional data.
func nested(data map[string]any) map[string]any {
	for _, name := range []string{"innerError", "innererror"} {
		if m, ok := data[name].(map[string]any); ok {
			return m
		}
	}
	return nil
}

func addCode(codes []string, code string) []string {
	if code == "" {
		return codes
	}
	return append(codes, text.Foreign(code, outcome.MaxWord))
}

func deref(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func anyText(v any) string {
	p, _ := v.(*string)
	return deref(p)
}
