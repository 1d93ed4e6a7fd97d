package graph

import (
	"slices"

	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

// loginRow is one fact about a login that Entra refused. The outcome follows
// from status and error alone; the numbers (AADSTS...) only choose advice, as
// Microsoft asks of programs.
type loginRow struct {
	http    string // as in row
	error   string // "error" of the answer, any of these words; "-" is none
	outcome outcome.Outcome
	status  reply.Enhanced
	text    string
	advice  string
}

func loginCatalogue() []loginRow {
	return []loginRow{
		{http: "429", outcome: outcome.Retry, status: reply.Enhanced{4, 7, 0}, text: "Entra throttles logins", advice: "find what else logs in with this app so often"},
		{http: "408 5xx", outcome: outcome.Retry, status: reply.Enhanced{4, 3, 0}, text: "Entra has a transient failure"},
		{error: "temporarily_unavailable server_error slow_down", outcome: outcome.Retry, status: reply.Enhanced{4, 3, 0}, text: "Entra has a transient failure"},
		{error: "invalid_client", outcome: outcome.Hold, status: reply.Enhanced{4, 7, 0}, text: "Entra refuses the app's credential", advice: "check the secret or certificate in place against those of the app registration"},
		{error: "unauthorized_client", outcome: outcome.Hold, status: reply.Enhanced{4, 7, 0}, text: "Entra does not let the app log in", advice: "check client_id and tenant_id in the configuration"},
		{error: "invalid_scope invalid_resource", outcome: outcome.Hold, status: reply.Enhanced{4, 3, 5}, text: "Entra does not know the resource asked for", advice: "check cloud (or endpoints) in the configuration: login and graph must belong to the same cloud"},
		{error: "invalid_request", outcome: outcome.Hold, status: reply.Enhanced{4, 3, 5}, text: "Entra does not understand the login", advice: "check client_id, tenant_id and cloud (or endpoints) in the configuration"},
		{error: "interaction_required invalid_grant access_denied", outcome: outcome.Hold, status: reply.Enhanced{4, 7, 0}, text: "a policy of the tenant refuses the login", advice: "look into the sign-in log of the service principal"},
		{error: "-", outcome: outcome.Hold, status: reply.Enhanced{4, 3, 5}, text: "what answered the login is not Entra", advice: "check the login endpoint in the configuration, and any proxy between this machine and login.microsoftonline.com (HTTPS_PROXY, NO_PROXY)"},
		{outcome: outcome.Hold, status: reply.Enhanced{4, 7, 0}, text: "Entra refuses the login", advice: "look up the code, and look into the sign-in log of the service principal"},
	}
}

// managedCatalogue is what the metadata service of an Azure machine answers
// [how-to-use-vm-token]; error and description differ from source to source.
func managedCatalogue() []loginRow {
	return []loginRow{
		{http: "429", outcome: outcome.Retry, status: reply.Enhanced{4, 7, 0}, text: "the machine asks for tokens too often", advice: "find what else on this machine logs in with its identity so often"},
		{http: "404 410 408 5xx", outcome: outcome.Retry, status: reply.Enhanced{4, 3, 0}, text: "the machine's identity is not ready, as it is for a minute after an update", advice: "if it lasts, restart the machine"},
		{http: "400", outcome: outcome.Hold, status: reply.Enhanced{4, 7, 0}, text: "this machine has no such identity", advice: "assign the managed identity to the machine (Identity, in its page of the portal), or correct managed_identity in the configuration"},
		{http: "401 403", outcome: outcome.Hold, status: reply.Enhanced{4, 7, 0}, text: "the metadata service refuses this program", advice: "check that this is a machine of Azure and that the service's user may ask (under Azure Arc: group himds)"},
		{outcome: outcome.Hold, status: reply.Enhanced{4, 3, 5}, text: "what answers is no metadata service", advice: "check that this is a machine of Azure, and that no proxy answers for 169.254.169.254"},
	}
}

// numbered is advice for some of Entra's numbers.
type numbered struct {
	numbers []int // AADSTS
	advice  string
}

// loginNumbers are the numbers that are known. They choose advice and nothing else.
func loginNumbers() []numbered {
	return []numbered{
		{[]int{7000215}, "the client secret is wrong; put the secret's Value in place, not its Secret ID"},
		{[]int{7000222}, "the client secret has expired; make a new one in the app registration and put its Value in place"},
		{[]int{700027}, "Entra does not know the certificate; upload it to the app registration, and check that the file in place holds the same one and that it has not expired"},
		{[]int{700024}, "the login's times are not valid; set this machine's clock right (NTP), and check the certificate's validity"},
		{[]int{700030}, "the subject name of the certificate is not authorised for the app; use the certificate that was uploaded"},
		{[]int{700016, 700011, 7000229}, "check client_id and tenant_id in the configuration; the app may have been deleted, or belong to another tenant or cloud"},
		{[]int{70001, 7000112}, "the app is disabled; enable sign-in for its enterprise application"},
		{[]int{90002, 90038, 900382}, "check tenant_id, and that cloud (or endpoints) in the configuration is the tenant's"},
		{[]int{53003, 53000, 530035}, "a Conditional Access policy for workload identities refuses the login; exempt the app or this machine's address, or change the policy"},
		{[]int{65001, 650052, 650056, 650057, 500011}, "the app has no grant in this tenant; give admin consent, or assign the role in Exchange (RBAC for Applications)"},
		{[]int{70011, 1002012}, "check cloud (or endpoints) in the configuration: login and graph must belong to the same cloud"},
		{[]int{70021, 700211, 700212, 700213}, "the federated credential of the app registration does not match the token of this workload: compare issuer, subject and audience"},
		{[]int{90006, 90012, 90024, 90033}, "nothing to do; Entra asks to try again later"},
		{[]int{50196}, "too many identical logins; find what else logs in with this app so often"},
	}
}

// loginAdvice gives better advice for the numbers that are known.
func loginAdvice(number int) string {
	for _, n := range loginNumbers() {
		if slices.Contains(n.numbers, number) {
			return n.advice
		}
	}
	return ""
}
