"""HTTP as both sides of this library's client speak it: one request, one whole answer, one deadline."""
