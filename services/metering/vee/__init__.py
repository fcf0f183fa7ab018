"""Validation, estimation and editing of readings; the rules are numbered as in docs/vee.md."""
