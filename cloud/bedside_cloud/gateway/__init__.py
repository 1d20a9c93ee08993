"""The only HTTP server: the console, its API, and the enrolment listener."""
