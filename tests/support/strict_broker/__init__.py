"""A broker as strict as AWS IoT Core, in pieces: README.md says which."""
