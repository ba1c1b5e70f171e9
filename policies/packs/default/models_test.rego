package packs.default.models_test

import data.packs.default.models
import data.packs.default.support_test as support

test_listed_model_is_allowed if {
	models.deny == set() with input as support.request with data.groups as support.groups
	support.codes(models.allow) == {"model_allowed"} with input as support.request
		with data.groups as support.groups
}

test_other_model_is_denied if {
	asked := support.changed({"request": {"model": "models/large-1"}})
	support.codes(models.deny) == {"model_not_allowed"} with input as asked
		with data.groups as support.groups
	models.allow == set() with input as asked with data.groups as support.groups
}

test_groups_add_up if {
	asked := support.changed({
		"principal": {"groups": ["sales", "engineering"]},
		"request": {"model": "models/large-1"},
	})
	models.deny == set() with input as asked with data.groups as support.groups
}

test_own_list_replaces_the_groups if {
	own := {"staff-7": {"models": ["models/own"]}}
	support.codes(models.deny) == {"model_not_allowed"} with input as support.request
		with data.groups as support.groups
		with data.principals as own
	asked := support.changed({"request": {"model": "models/own"}})
	models.deny == set() with input as asked
		with data.groups as support.groups
		with data.principals as own
}

test_empty_own_list_allows_nothing if {
	support.codes(models.deny) == {"model_not_allowed"} with input as support.request
		with data.groups as support.groups
		with data.principals as {"staff-7": {"models": []}}
}

test_no_backend_is_unknown if {
	asked := support.changed({"request": {"backend": null}})
	support.codes(models.deny) == {"unknown_model"} with input as asked
		with data.groups as support.groups
}
