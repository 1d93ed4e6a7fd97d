// Package browser drives the web console of a real relay in headless Chromium,
// holds its pages against axe-core, and takes the screenshots of the README.
package browser
