# METADATA
# title: Limits
# description: The cap on answers, and what is kept.
# scope: package
package packs.default.limits

# METADATA
# title: Cap on the answer
# description: Asked only where the request has no limit or a higher one, so that others stay as they are.
obligation contains {"max_tokens": cap} if {
	not within(cap)
}

within(most) if {
	is_number(input.request.max_tokens)
	input.request.max_tokens <= most
}

# METADATA
# title: What is kept
# description: Content in the log, from data.records.
obligation contains {"log_level": data.records.log_level}

# METADATA
# title: How long it is kept
# description: In days, from data.records; nothing is asked where it says nothing.
obligation contains {"retain_days": data.records.retain_days}

# METADATA
# title: Label
# description: Answers say that a machine wrote them, if data.records asks for it.
obligation contains {"label_output": true} if data.records.label_output == true

# METADATA
# title: Cap
# description: The principal's own, else the smallest of the groups.
cap := own_cap

cap := min(group_caps) if {
	not own_cap
	count(group_caps) > 0
}

own_cap := data.principals[input.principal.id].max_tokens

group_caps contains most if {
	some group in input.principal.groups
	most := data.groups[group].max_tokens
}
