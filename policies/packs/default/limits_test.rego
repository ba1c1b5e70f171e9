package packs.default.limits_test

import data.packs.default.limits
import data.packs.default.support_test as support

records := {"log_level": "redacted", "retain_days": 200}

kept := {{"log_level": "redacted"}, {"retain_days": 200}}

asked(most) := support.changed({"request": {"max_tokens": most}})

test_within_the_cap if {
	limits.obligation == kept with input as asked(1000)
		with data.groups as support.groups
		with data.records as records
}

test_above_the_cap if {
	limits.obligation == kept | {{"max_tokens": 1000}} with input as asked(1001)
		with data.groups as support.groups
		with data.records as records
}

test_answers_are_labelled_if_asked if {
	labelled := object.union(records, {"label_output": true})
	limits.obligation == kept | {{"label_output": true}} with input as asked(1000)
		with data.groups as support.groups
		with data.records as labelled
}

test_no_limit_asked if {
	limits.obligation == kept | {{"max_tokens": 1000}} with input as asked(null)
		with data.groups as support.groups
		with data.records as records
}

test_smallest_of_the_groups if {
	both := support.changed({
		"principal": {"groups": ["sales", "interns"]},
		"request": {"max_tokens": null},
	})
	limits.cap == 10 with input as both
		with data.groups as object.union(support.groups, {"interns": {"max_tokens": 10}})
}

test_own_cap if {
	limits.cap == 5000 with input as asked(null)
		with data.groups as support.groups
		with data.principals as {"staff-7": {"max_tokens": 5000}}
}

test_no_cap if {
	free := support.changed({"principal": {"groups": ["engineering"]}})
	limits.obligation == set() with input as free
		with data.groups as support.groups
		with data.records as {}
}
