// Package charttest examines the chart of the folder above as `helm template`
// renders it, and the examples for other engines. It is a module of its own, because
// Helm and Kubernetes are no dependency of graphrelay.
package charttest
