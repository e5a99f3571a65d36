"""A server as the command line sees it: one interface, straight on the local store or over REST."""
