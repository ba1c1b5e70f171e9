# METADATA
# title: Duties
# description: What the packs of several sectors count and compare in the same way.
# scope: package
package lib.duties

# METADATA
# title: Kept for less
# description: Whether contents are kept for less than so many days, by data.records or by the ledger.
kept_for_less(days) if {
	days > 0
	data.records.log_level == "metadata"
}

kept_for_less(days) if data.records.retain_days < days

kept_for_less(days) if {
	is_number(input.context.content_days)
	input.context.content_days < days
}

# METADATA
# title: Personal data
# description: How many pieces of personal data were found; secrets are none.
personal := sum([found |
	some kind, found in input.content.entities
	not startswith(kind, "credential_")
])
