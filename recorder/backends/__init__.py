"""One module per framework, each turning its train step into rows of a recording."""
