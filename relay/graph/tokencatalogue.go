package graph

import "graphrelay/relay/status"

// loginRow is one fact about a login that Entra refused. The outcome follows
// from status and error alone; the numbers (AADSTS...) only choose advice, as
// Microsoft asks of programs.
type loginRow struct {
	http    string // as in row
	error   string // "error" of the answer, any of these words; "-" is none
	outcome Outcome
	status  status.Enhanced
	text    string
	advice  string
}

func loginCatalogue() []loginRow {
	return []loginRow{
		{http: "429", outcome: Retry, status: status.Enhanced{4, 7, 0}, text: "Entra throttles logins", advice: "find what else logs in with this app so often"},
		{http: "408 5xx", outcome: Retry, status: status.Enhanced{4, 3, 0}, text: "Entra has a transient failure"},
		{error: "temporarily_unavailable server_error slow_down", outcome: Retry, status: status.Enhanced{4, 3, 0}, text: "Entra has a transient failure"},
		{error: "invalid_client", outcome: Hold, status: status.Enhanced{4, 7, 0}, text: "Entra refuses the app's credential", advice: "check the secret or certificate in place against those of the app registration"},
		{error: "unauthorized_client", outcome: Hold, status: status.Enhanced{4, 7, 0}, text: "Entra does not let the app log in", advice: "check client_id and tenant_id in the configuration"},
		{error: "invalid_scope invalid_resource", outcome: Hold, status: status.Enhanced{4, 3, 5}, text: "Entra does not know the resource asked for", advice: "check the endpoints in the configuration: login and graph must belong to the same cloud"},
		{error: "invalid_request", outcome: Hold, status: status.Enhanced{4, 3, 5}, text: "Entra does not understand the login", advice: "check client_id, tenant_id and the endpoints in the configuration"},
		{error: "interaction_required invalid_grant access_denied", outcome: Hold, status: status.Enhanced{4, 7, 0}, text: "a policy of the tenant refuses the login", advice: "look into the sign-in log of the service principal"},
		{error: "-", outcome: Hold, status: status.Enhanced{4, 3, 5}, text: "what answered the login is not Entra", advice: "check the login endpoint in the configuration, and any proxy between this machine and login.microsoftonline.com (HTTPS_PROXY, NO_PROXY)"},
		{outcome: Hold, status: status.Enhanced{4, 7, 0}, text: "Entra refuses the login", advice: "look up the code, and look into the sign-in log of the service principal"},
	}
}

// loginAdvice gives better advice for the numbers that are known.
func loginAdvice(number int) string {
	const (
		identity = "check client_id and tenant_id in the configuration; the app may have been deleted, or belong to another tenant or cloud"
		policy   = "a Conditional Access policy for workload identities refuses the login; exempt the app or this machine's address, or change the policy"
		consent  = "the app has no grant in this tenant; give admin consent, or assign the role in Exchange (RBAC for Applications)"
		busy     = "nothing to do; Entra asks to try again later"
		fed      = "the federated credential of the app registration does not match the token of this workload: compare issuer, subject and audience"
	)
	switch number {
	case 7000215:
		return "the client secret is wrong; put the secret's Value in place, not its Secret ID"
	case 7000222:
		return "the client secret has expired; make a new one in the app registration and put its Value in place"
	case 700027:
		return "Entra does not know the certificate; upload it to the app registration, and check that the file in place holds the same one and that it has not expired"
	case 700024:
		return "the login's times are not valid; set this machine's clock right (NTP), and check the certificate's validity"
	case 700030:
		return "the subject name of the certificate is not authorised for the app; use the certificate that was uploaded"
	case 700016, 700011, 7000229:
		return identity
	case 70001, 7000112:
		return "the app is disabled; enable sign-in for its enterprise application"
	case 90002, 90038, 900382:
		return "check tenant_id, and that the endpoints belong to the tenant's cloud"
	case 53003, 53000, 530035:
		return policy
	case 65001, 650052, 650056, 650057, 500011:
		return consent
	case 70011, 1002012:
		return "check the endpoints in the configuration: login and graph must belong to the same cloud"
	case 70021, 700211, 700213:
		return fed
	case 90006, 90012, 90024, 90033:
		return busy
	case 50196:
		return "too many identical logins; find what else logs in with this app so often"
	}
	return ""
}
