// Program stands for az, pwsh, date, sleep and openssl in a script of the shell that
// is rehearsed: it asks the World at REHEARSAL_SOCKET what to print and how to end.
package main

import "graphrelay/relay/e2e/rehearsal"

func main() { rehearsal.Program() }
