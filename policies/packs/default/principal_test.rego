package packs.default.principal_test

import data.packs.default.principal
import data.packs.default.support_test as support

test_known_principal_passes if {
	principal.deny == set() with input as support.request with data.groups as support.groups
}

test_no_group_is_unknown if {
	asked := support.changed({"principal": {"groups": []}})
	support.codes(principal.deny) == {"principal_unknown"} with input as asked
		with data.groups as support.groups
}

test_foreign_group_is_unknown if {
	asked := support.changed({"principal": {"groups": ["nobody"]}})
	support.codes(principal.deny) == {"principal_unknown"} with input as asked
		with data.groups as support.groups
}

test_blocked if {
	support.codes(principal.deny) == {"principal_blocked"} with input as support.request
		with data.groups as support.groups
		with data.principals as {"staff-7": {"blocked": true}}
}

test_halted if {
	asked := support.changed({"context": {"halt": true}})
	support.codes(principal.deny) == {"halted"} with input as asked
		with data.groups as support.groups
}

test_no_word_about_halt_is_halted if {
	asked := json.remove(support.request, ["/context/halt"])
	support.codes(principal.deny) == {"halted"} with input as asked
		with data.groups as support.groups
}

test_training if {
	needed := {"sales": {"training": true}}
	every word in ["none", "over"] {
		asked := support.changed({"principal": {"training": word}})
		support.codes(principal.deny) == {"training_missing"} with input as asked
			with data.groups as needed
	}
	trained := support.changed({"principal": {"training": "valid"}})
	principal.deny == set() with input as trained with data.groups as needed
}
