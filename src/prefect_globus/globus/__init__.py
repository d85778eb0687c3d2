"""The thin adapter over globus-sdk: what the domain asks of Globus, in the domain's words."""
