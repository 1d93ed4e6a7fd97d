package graph

// preferImmutable makes the ID of a draft stay valid when it moves to Sent Items.
const preferImmutable = `IdType="ImmutableId"`

// recipient is a recipient resource of Graph.
type recipient struct {
	EmailAddress emailAddress `json:"emailAddress"`
}

type emailAddress struct {
	Address string `json:"address,omitempty"`
	Name    string `json:"name,omitempty"`
}
