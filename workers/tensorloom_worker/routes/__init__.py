"""The HTTP interface, one module per kind of thing; each function calls the service and no more."""
