package sekisho_test

import data.packs.default.support_test as support
import data.sekisho

yes := {{"code": "fine", "msg": "Fine."}}

no := {{"code": "no", "msg": "No."}}

wait := {{"code": "look", "msg": "Somebody looks."}}

# What the packs say in a test, in place of what is shipped.
said(rules) := {"team": {"area": rules}}

test_nothing_said_is_a_deny if {
	decision := sekisho.decision with input as support.request with data.packs as {}
	decision.effect == "deny"
	[reason | some reason in decision.reasons][0].code == "not_allowed"
}

test_allow if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes})
	decision == {
		"schema": "sekisho.decision/v1",
		"effect": "allow",
		"reasons": [],
		"obligations": {},
	}
}

test_deny_beats_hold_beats_allow if {
	held := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": wait})
		with data.hold as support.settings
	held.effect == "hold"
	held.reasons == [{"code": "look", "msg": "Somebody looks.", "rule": "team.area"}]
	denied := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": wait, "deny": no})
		with data.hold as support.settings
	denied.effect == "deny"
	denied.reasons == [{"code": "no", "msg": "No.", "rule": "team.area"}]
}

test_who_asks_and_the_model_come_before_other_reasons if {
	decision := sekisho.decision with input as support.request
		with data.packs as {"team": {
			"area": {"deny": {{"code": "a", "msg": "Other."}}},
			"models": {"deny": {{"code": "b", "msg": "Model."}}},
			"principal": {"deny": {{"code": "c", "msg": "Who."}}},
		}}
	[reason.code | some reason in decision.reasons] == ["c", "b", "a"]
}

test_hold_without_allow_is_a_deny if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"hold": wait})
		with data.hold as support.settings
	decision.effect == "deny"
}

test_hold_takes_terms_from_data if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": wait})
		with data.hold as support.settings
	decision.obligations.hold == {
		"stage": "request",
		"thresholds": [{"reviewers": "reviewer", "approve": 1, "deny": 1}],
		"ttl_s": 3600,
		"risk": 50,
	}
}

test_holds_add_up if {
	strict := {"code": "strict", "msg": "Two look.", "approve": 2, "ttl_s": 60, "risk": 90}
	legal := {"code": "legal", "msg": "Legal looks.", "reviewers": "legal", "deny": 2}
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": wait | {strict, legal}})
		with data.hold as support.settings
	decision.obligations.hold == {
		"stage": "request",
		"thresholds": [
			{"reviewers": "legal", "approve": 1, "deny": 2},
			{"reviewers": "reviewer", "approve": 2, "deny": 1},
		],
		"ttl_s": 60,
		"risk": 90,
	}
}

malformed(rules) if {
	decision := sekisho.decision with input as support.request
		with data.packs as {"team": {"area": rules}, "other": {"area": {"allow": yes}}}
		with data.hold as support.settings
	decision.effect == "deny"
	{reason.code | some reason in decision.reasons} == {"malformed_rule"}
	{reason.rule | some reason in decision.reasons} == {"team.area"}
}

test_malformed_entries_deny if {
	malformed({"deny": {"no"}})
	malformed({"deny": {{"code": "no"}}})
	malformed({"deny": {{"code": 1, "msg": "No."}}})
	malformed({"deny": true})
	malformed({"deny": false})
	malformed({"deny": ["no"]})
	malformed({"allow": {"yes"}})
	malformed({"hold": {"wait"}})
	malformed({"hold": {{"code": "look", "msg": "Look.", "approve": "two"}}})
	malformed({"hold": {{"code": "look", "msg": "Look.", "reviewers": 7}}})
	malformed({"hold": {{"code": "look", "msg": "Look.", "quorum": 2}}})
	malformed({"obligation": {"redact"}})
	malformed({"obligation": {{}}})
	malformed({"obligation": {{"max_token": 5}}})
	malformed({"obligation": {{"max_tokens": "5"}}})
	malformed({"obligation": {{"log_level": "everything"}}})
	malformed({"obligation": {{"justify": 1}}})
	malformed({"obligation": {{"route": 1}}})
	malformed({"obligation": {{"redact": "email"}}})
}

test_hold_with_unreadable_settings_is_a_deny if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": wait})
		with data.hold as {"ttl_s": "long"}
	decision.effect == "deny"
}

obligations(entries) := answer if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "obligation": entries})
	decision.effect == "allow"
	answer := decision.obligations
}

test_narrowest_wins if {
	obligations({{"max_tokens": 50}, {"max_tokens": 9}}).max_tokens == 9
	obligations({{"retain_days": 50}, {"retain_days": 9}}).retain_days == 9
	obligations({{"allow_tools": ["a", "b"]}, {"allow_tools": ["b"]}}).allow_tools == ["b"]
	obligations({{"allow_tools": []}}).allow_tools == []
	obligations({{"redact": ["a"]}, {"redact": ["b"]}}).redact == ["a", "b"]
	obligations({{"notify": ["a"]}}).notify == ["a"]
	obligations({{"log_level": "full"}, {"log_level": "metadata"}}).log_level == "metadata"
	obligations({{"log_level": "full"}}).log_level == "full"
	obligations({{"justify": false}, {"justify": true}}).justify == true
	obligations({{"label_output": false}}).label_output == false
	obligations({{"review_response": true}}).review_response == true
	obligations({{"route": "backend-1"}}).route == "backend-1"
}

test_two_routes_are_a_deny if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "obligation": {{"route": "a"}, {"route": "b"}}})
	{reason.code | some reason in decision.reasons} == {"obligation_conflict"}
	decision.effect == "deny"
}

test_other_stages_are_a_deny if {
	some stage in ["tool_call", "response", "", null]
	asked := support.changed({"stage": stage})
	decision := sekisho.decision with input as asked with data.packs as said({"allow": yes})
	{reason.code | some reason in decision.reasons} == {"stage_not_supported"}
}

test_other_schema_is_a_deny if {
	asked := support.changed({"schema": "sekisho.input/v2"})
	decision := sekisho.decision with input as asked with data.packs as said({"allow": yes})
	{reason.code | some reason in decision.reasons} == {"input_not_understood"}
}

test_no_input_is_a_deny if {
	decision := sekisho.decision with input as {}
	decision.effect == "deny"
}
