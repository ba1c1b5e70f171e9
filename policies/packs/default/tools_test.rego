package packs.default.tools_test

import data.packs.default.support_test as support
import data.packs.default.tools

none := {"allowed": []}

nothing := {"denied": []}

test_nothing_asked_passes if {
	tools.deny == set() with input as support.request
		with data.hosted_tools as none
		with data.function_tools as nothing
		with data.unknown_fields as none
}

test_hosted_is_denied if {
	asked := support.changed({"request": {"hosted": ["enable_search", "store"]}})
	support.codes(tools.deny) == {"hosted_tool"} with input as asked with data.hosted_tools as none
	some reason in tools.deny with input as asked with data.hosted_tools as none
	contains(reason.msg, "enable_search, store")
}

test_hosted_allowed_by_name if {
	asked := support.changed({"request": {"hosted": ["enable_search", "store"]}})
	tools.deny == set() with input as asked
		with data.hosted_tools as {"allowed": ["enable_search", "store"]}
	support.codes(tools.deny) == {"hosted_tool"} with input as asked
		with data.hosted_tools as {"allowed": ["store"]}
}

test_hosted_is_denied_without_a_list if {
	asked := support.changed({"request": {"hosted": ["store"]}})
	support.codes(tools.deny) == {"hosted_tool"} with input as asked with data.hosted_tools as {}
}

test_function_listed_is_denied if {
	asked := support.changed({"request": {"tools": ["crm.read", "crm.delete"]}})
	support.codes(tools.deny) == {"tool_not_allowed"} with input as asked
		with data.function_tools as {"denied": ["*.delete"]}
	tools.deny == set() with input as asked with data.function_tools as nothing
}

test_unknown_member if {
	asked := support.changed({"request": {"unknown_fields": ["top_k", "zeal"]}})
	support.codes(tools.deny) == {"unknown_field"} with input as asked
		with data.unknown_fields as {"allowed": ["top_*"]}
	tools.deny == set() with input as asked with data.unknown_fields as {"allowed": ["*"]}
}

test_a_call_has_to_be_offered if {
	tools.deny == set() with input as support.call("crm.read", {}) with data.function_tools as nothing
	every others in [[], ["crm.read", "crm.delete.all", "CRM.delete"]] {
		stray := support.call("crm.delete", {"request": {"tools": others}})
		support.codes(tools.deny) == {"tool_not_offered"} with input as stray
			with data.function_tools as nothing
	}
}

test_a_call_of_a_denied_tool_is_denied if {
	support.codes(tools.deny) == {"tool_not_allowed"} with input as support.call("crm.delete", {})
		with data.function_tools as {"denied": ["*.delete"]}
}

test_a_call_that_rules_cannot_look_into_waits_for_a_person if {
	every long in [{"tool": {"whole": false}}, {"tool": {"whole": null}}, {"tool": {"whole": "yes"}}] {
		some entry in tools.hold with input as support.call("kb.write", long)
		[entry.code, entry.stage] == ["tool_call_long", "tool_call"]
	}
	unsaid := object.union(object.remove(support.call("kb.write", {}), ["tool"]), {"tool": {"name": "kb.write"}})
	support.codes(tools.hold) == {"tool_call_long"} with input as unsaid
	tools.hold == set() with input as support.call("kb.write", {})
	tools.hold == set() with input as support.request
	tools.hold == set() with input as support.answer({})
}
