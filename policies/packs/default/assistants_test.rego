package packs.default.assistants_test

import data.packs.default.assistants
import data.packs.default.ladder
import data.packs.default.models
import data.packs.default.support_test as support

clerk := {"clerk": {"groups": ["sales"], "step": 0}}

asked := support.changed({"request": {"assistant": "clerk", "model": "models/large-1", "tools": ["x"]}})

test_its_groups_may_use_it_and_with_it_its_model if {
	assistants.deny == set() with input as asked with data.assistants as clerk
	support.codes(models.allow) == {"model_allowed"} with input as asked
		with data.assistants as clerk
		with data.groups as support.groups
	models.allow == set() with input as asked
		with data.assistants as {}
		with data.groups as support.groups
}

test_an_own_list_of_models_counts_here_too if {
	models.allow == set() with input as asked
		with data.assistants as clerk
		with data.principals as {"staff-7": {"models": []}}
}

test_others_may_not if {
	other := object.union(asked, {"principal": {"groups": ["billing"]}})
	support.codes(assistants.deny) == {"assistant_not_allowed"} with input as other
		with data.assistants as clerk
}

test_without_an_assistant_nothing_is_said if {
	assistants.deny == set() with input as support.request with data.assistants as clerk
}

test_its_step_of_the_ladder_counts if {
	ladder.step == 0 with input as asked
		with data.assistants as clerk
		with data.ladder as [{"for": "group:sales", "step": 3}]
}
