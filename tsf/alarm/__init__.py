"""Alarms: what counts as a breach, and what a rule would have done."""
