package packs.default.ladder_test

import data.packs.default.ladder
import data.packs.default.support_test as support

with_tools := support.changed({"request": {"tools": ["crm.read", "crm.write", "kb.find"]}})

row(step) := {"for": "group:sales", "step": step}

test_without_a_row_nothing_is_asked if {
	ladder.obligation == set() with input as with_tools with data.ladder as []
	ladder.deny == set() with input as with_tools with data.ladder as [{"for": "group:other", "step": 0}]
}

test_step_0_takes_the_tools_out if {
	ladder.obligation == {{"allow_tools": []}} with input as with_tools with data.ladder as [row(0)]
	ladder.obligation == set() with input as support.request with data.ladder as [row(0)]
}

test_steps_1_and_2_hold_each_call if {
	every step in [1, 2] {
		every asked in [with_tools, support.call("crm.read", {})] {
			some entry in ladder.hold with input as asked with data.ladder as [row(step)]
			[entry.code, entry.stage] == ["tool_call_held", "tool_call"]
			ladder.deny == set() with input as asked with data.ladder as [row(step)]
		}
		ladder.hold == set() with input as support.request with data.ladder as [row(step)]
	}
	every step in [0, 3] {
		ladder.hold == set() with input as with_tools with data.ladder as [row(step)]
	}
}

test_step_0_denies_a_call if {
	support.codes(ladder.deny) == {"tool_calls_off"} with input as support.call("crm.read", {})
		with data.ladder as [row(0)]
	ladder.deny == set() with input as with_tools with data.ladder as [row(0)]
}

test_step_3_denies_calls_off_the_list if {
	rows := [object.union(row(3), {"tools": ["crm.read", "kb.*"]})]
	support.codes(ladder.deny) == {"tool_not_on_list"} with input as support.call("crm.delete", {})
		with data.ladder as rows
	ladder.deny == set() with input as support.call("kb.find", {}) with data.ladder as rows
	ladder.deny == set() with input as support.answer({}) with data.ladder as rows
	support.codes(ladder.deny) == {"tool_not_on_list"} with input as support.call("kb.find", {})
		with data.ladder as [row(3)]
}

test_step_1_labels_answers if {
	ladder.obligation == {{"label_output": true}} with input as support.request
		with data.ladder as [row(1)]
}

test_step_1_can_want_a_word_about_drafts if {
	rows := [object.union(row(1), {"drafts_max": 5}), object.union(row(2), {"drafts_max": 3})]
	ladder.obligation == {{"label_output": true}, {"drafts_max": 5}, {"drafts_max": 3}} with input as support.request
		with data.ladder as rows
	ladder.obligation == set() with input as support.request with data.ladder as [object.union(row(2), {"drafts_max": 3})]
}

test_step_3_has_a_list if {
	listed := object.union(row(3), {"tools": ["crm.read", "kb.*"]})
	ladder.obligation == {{"allow_tools": ["crm.read", "kb.find"]}} with input as with_tools
		with data.ladder as [listed]
	ladder.obligation == {{"allow_tools": []}} with input as with_tools with data.ladder as [row(3)]
}

test_all_rows_of_step_3_have_to_list_it if {
	rows := [
		object.union(row(3), {"tools": ["crm.*"]}),
		{"for": "backend:backend-*", "step": 3, "tools": ["*.read", "kb.*"]},
	]
	ladder.obligation == {{"allow_tools": ["crm.read"]}} with input as with_tools with data.ladder as rows
}

test_the_lowest_step_counts if {
	rows := [row(3), {"for": "principal:staff-7", "step": 0}]
	ladder.step == 0 with input as with_tools with data.ladder as rows
}

test_backend_and_assistant if {
	ladder.step == 1 with input as with_tools with data.ladder as [{"for": "backend:backend-1", "step": 1}]
	helped := support.changed({"request": {"assistant": "clerk", "backend": null}})
	ladder.step == 2 with input as helped with data.ladder as [
		{"for": "assistant:cl*", "step": 2},
		{"for": "backend:*", "step": 0},
	]
}
