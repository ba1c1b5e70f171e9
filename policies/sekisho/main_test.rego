package sekisho_test

import data.packs.default.support_test as support
import data.sekisho

yes := {{"code": "fine", "msg": "Fine."}}

no := {{"code": "no", "msg": "No."}}

wait := {{"code": "look", "msg": "Somebody looks."}}

modes := {"team": "enforce", "other": "enforce"}

# What the packs say in a test, in place of what is shipped.
said(rules) := {"team": {"area": rules}}

test_nothing_said_is_a_deny if {
	decision := sekisho.decision with input as support.request with data.packs as {}
		with data.modes as modes
	decision.effect == "deny"
	[reason | some reason in decision.reasons][0].code == "not_allowed"
}

test_allow if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes})
		with data.modes as modes
	decision == {
		"schema": "sekisho.decision/v1",
		"effect": "allow",
		"reasons": [],
		"obligations": {},
		"observed": [],
	}
}

test_deny_beats_hold_beats_allow if {
	held := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": wait})
		with data.modes as modes
		with data.hold as support.settings
	held.effect == "hold"
	held.reasons == [{"code": "look", "msg": "Somebody looks.", "texts": {}, "rule": "team.area"}]
	denied := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": wait, "deny": no})
		with data.modes as modes
		with data.hold as support.settings
	denied.effect == "deny"
	denied.reasons == [{"code": "no", "msg": "No.", "texts": {}, "rule": "team.area"}]
}

test_who_asks_and_the_model_come_before_other_reasons if {
	decision := sekisho.decision with input as support.request
		with data.packs as {"team": {
			"area": {"deny": {{"code": "a", "msg": "Other."}}},
			"models": {"deny": {{"code": "b", "msg": "Model."}}},
			"principal": {"deny": {{"code": "c", "msg": "Who."}}},
		}}
		with data.modes as modes
	[reason.code | some reason in decision.reasons] == ["c", "b", "a"]
}

test_hold_without_allow_is_a_deny if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"hold": wait})
		with data.modes as modes
		with data.hold as support.settings
	decision.effect == "deny"
}

test_hold_takes_terms_from_data if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": wait})
		with data.modes as modes
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
		with data.modes as modes
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

# Whoever is asked at two steps is asked twice; at each step the most approvals count.
test_holds_add_up_step_by_step if {
	first := {"code": "lead", "msg": "The team lead looks.", "reviewers": "team-lead"}
	then := {"code": "then", "msg": "Compliance looks.", "reviewers": "compliance", "step": 2}
	two := object.union(then, {"code": "two", "approve": 2, "deny": 3})
	again := object.union(first, {"code": "again", "step": 2})
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": {first, then, two, again}})
		with data.modes as modes
		with data.hold as support.settings
	{threshold | some threshold in decision.obligations.hold.thresholds} == {
		{"reviewers": "team-lead", "approve": 1, "deny": 1},
		{"reviewers": "team-lead", "approve": 1, "deny": 1, "step": 2},
		{"reviewers": "compliance", "approve": 2, "deny": 1, "step": 2},
	}
}

# Relief widens who may answer, so it has to be what all want who ask this group.
test_relief_is_what_all_want if {
	one := {"code": "one", "msg": "One looks.", "reviewers": "desk", "relief": ["head", "legal"]}
	two := {"code": "two", "msg": "Two look.", "reviewers": "desk", "relief": ["head"], "approve": 2}
	none := {"code": "none", "msg": "Nobody else looks.", "reviewers": "desk", "step": 2}
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": {one, two, none}})
		with data.modes as modes
		with data.hold as support.settings
	{threshold | some threshold in decision.obligations.hold.thresholds} == {
		{"reviewers": "desk", "approve": 2, "deny": 1, "relief": ["head"]},
		{"reviewers": "desk", "approve": 1, "deny": 1, "step": 2},
	}
	other := object.union(one, {"code": "other", "relief": []})
	narrow := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": {one, other}})
		with data.modes as modes
		with data.hold as support.settings
	narrow.obligations.hold.thresholds == [{"reviewers": "desk", "approve": 1, "deny": 1}]
}

test_relief_that_cannot_be_read_denies if {
	every relief in ["head", [""], [7], null, ["reviewer"], {"head": true}, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]] {
		malformed({"hold": {{"code": "bad", "msg": "Look.", "relief": relief}}})
	}
}

test_a_step_that_cannot_be_read_denies if {
	every step in [0, -1, 9, 1.5, "2", null, true] {
		malformed({"hold": {{"code": "bad", "msg": "Look.", "step": step}}})
	}
}

malformed(rules) if {
	decision := sekisho.decision with input as support.request
		with data.packs as {"team": {"area": rules}, "other": {"area": {"allow": yes}}}
		with data.modes as modes
		with data.hold as support.settings
	decision.effect == "deny"
	{reason.code | some reason in decision.reasons} == {"malformed_rule"}
	{reason.rule | some reason in decision.reasons} == {"team.area"}
}

test_malformed_entries_deny if {
	malformed({"deny": {"no"}})
	malformed({"deny": {{"code": "no"}}})
	malformed({"deny": {{"code": 1, "msg": "No."}}})
	malformed({"deny": {{"code": "no", "msg": "No.", "texts": "Nein."}}})
	malformed({"deny": {{"code": "Bad code", "msg": "No."}}})
	malformed({"deny": {{"code": "ok\n", "msg": "No."}}})
	malformed({"deny": {{"code": "no", "msg": ""}}})
	malformed({"deny": {{"code": "no", "msg": "No.", "texts": {"zh": 7}}}})
	malformed({"deny": {{"code": "no", "msg": "No.", "texts": ["zh"]}}})
	malformed({"deny": {{"code": "no", "msg": "No.", "texts": {"de": "Nein."}}}})
	malformed({"allow": {"yes"}})
	malformed({"hold": {"wait"}})
	malformed({"hold": {{"code": "look", "msg": "Look.", "approve": "two"}}})
	malformed({"hold": {{"code": "look", "msg": "Look.", "reviewers": 7}}})
	malformed({"hold": {{"code": "look", "msg": "Look.", "quorum": 2}}})
	malformed({"hold": {{"code": "look", "msg": "Look.", "reviewers": ""}}})
	every wrong in [{"approve": 0}, {"approve": 1.5}, {"deny": -1}, {"ttl_s": 0.5}, {"risk": 101}] {
		malformed({"hold": {object.union({"code": "look", "msg": "Look."}, wrong)}})
	}
	malformed({"obligation": {"redact"}})
	malformed({"obligation": {{}}})
	malformed({"obligation": {{"max_token": 5}}})
	malformed({"obligation": {{"max_tokens": "5"}}})
	malformed({"obligation": {{"max_tokens": 0}}})
	malformed({"obligation": {{"max_tokens": 1.5}}})
	malformed({"obligation": {{"retain_days": -1}}})
	malformed({"obligation": {{"drafts_max": 0}}})
	malformed({"obligation": {{"redact": [1]}}})
	malformed({"obligation": {{"route": ""}}})
	malformed({"obligation": {{"log_level": "everything"}}})
	malformed({"obligation": {{"justify": 1}}})
	malformed({"obligation": {{"route": 1}}})
	malformed({"obligation": {{"redact": "email"}}})
}

test_hold_with_unreadable_settings_is_a_deny if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "hold": wait})
		with data.modes as modes
		with data.hold as {"ttl_s": "long"}
	decision.effect == "deny"
}

obligations(entries) := answer if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes, "obligation": entries})
		with data.modes as modes
	decision.effect == "allow"
	answer := decision.obligations
}

test_narrowest_wins if {
	obligations({{"max_tokens": 50}, {"max_tokens": 9}}).max_tokens == 9
	obligations({{"drafts_max": 50}, {"drafts_max": 9}}).drafts_max == 9
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
		with data.modes as modes
	{reason.code | some reason in decision.reasons} == {"obligation_conflict"}
	decision.effect == "deny"
}

test_unknown_stages_are_a_deny if {
	every stage in ["later", "", null, 2, ["request"], {}] {
		asked := object.union(object.remove(support.request, ["stage"]), {"stage": stage})
		decision := sekisho.decision with input as asked
			with data.packs as said({"allow": yes, "hold": all_stages})
			with data.modes as modes
			with data.hold as support.settings
		decision.effect == "deny"
		{reason.code | some reason in decision.reasons} == {"stage_not_supported"}
		decision.obligations == {}
	}
}

test_no_stage_is_a_deny if {
	decision := sekisho.decision with input as object.remove(support.request, ["stage"])
		with data.packs as said({"allow": yes})
		with data.modes as modes
	{reason.code | some reason in decision.reasons} == {"stage_not_supported"}
}

of_calls := {"code": "call", "msg": "Somebody looks at the call.", "stage": "tool_call", "ttl_s": 60}

of_answers := {
	"code": "answer",
	"msg": "Somebody reads the answer.",
	"stage": "response",
	"reviewers": "legal",
	"risk": 90,
}

all_stages := wait | {of_calls, of_answers}

# What a decision at a stage is, of a pack that says these rules.
at(asked, rules) := decision if {
	decision := sekisho.decision with input as asked
		with data.packs as said(object.union({"allow": yes}, rules))
		with data.modes as modes
		with data.hold as support.settings
}

terms(stage, reviewers, ttl_s, risk) := {
	"stage": stage,
	"thresholds": [{"reviewers": reviewers, "approve": 1, "deny": 1}],
	"ttl_s": ttl_s,
	"risk": risk,
}

# A hold of a later stage says which rules want it: the reasons are of this stage.
foreseen(stage, reviewers, ttl_s, risk) := object.union(terms(stage, reviewers, ttl_s, risk), {"rules": ["team.area"]})

test_a_request_names_the_holds_of_later_stages if {
	decision := at(support.request, {"hold": {of_answers, of_calls}})
	decision.effect == "allow"
	decision.reasons == []
	decision.obligations == {"hold_later": [
		foreseen("tool_call", "reviewer", 60, 50),
		foreseen("response", "legal", 3600, 90),
	]}
}

test_the_hold_of_a_stage_stands_beside_those_of_later_ones if {
	decision := at(support.request, {"hold": all_stages})
	decision.effect == "hold"
	{reason.code | some reason in decision.reasons} == {"look"}
	decision.obligations == {
		"hold": terms("request", "reviewer", 3600, 50),
		"hold_later": [foreseen("tool_call", "reviewer", 60, 50), foreseen("response", "legal", 3600, 90)],
	}
}

test_a_tool_call_is_held_on_its_own_terms if {
	decision := at(support.call("crm.read", {}), {"hold": all_stages})
	decision.effect == "hold"
	{reason.code | some reason in decision.reasons} == {"call"}
	decision.obligations == {
		"hold": terms("tool_call", "reviewer", 60, 50),
		"hold_later": [foreseen("response", "legal", 3600, 90)],
	}
}

test_an_answer_is_held_on_its_own_terms if {
	decision := at(support.answer({}), {"hold": all_stages})
	decision.effect == "hold"
	{reason.code | some reason in decision.reasons} == {"answer"}
	decision.obligations == {"hold": terms("response", "legal", 3600, 90)}
}

test_holds_of_earlier_stages_were_met if {
	every asked in [support.call("crm.read", {}), support.answer({})] {
		decision := at(asked, {"hold": wait})
		decision.effect == "allow"
		decision.reasons == []
		decision.obligations == {}
	}
	at(support.answer({}), {"hold": {of_calls}}).effect == "allow"
}

test_holds_of_a_later_stage_add_up if {
	two := object.union(of_answers, {"code": "two", "approve": 2, "ttl_s": 30})
	other := object.union(of_answers, {"code": "other", "reviewers": "reviewer", "deny": 3, "risk": 1})
	decision := at(support.request, {"hold": {of_answers, two, other}})
	decision.obligations.hold_later == [{
		"stage": "response",
		"thresholds": [
			{"reviewers": "reviewer", "approve": 1, "deny": 3},
			{"reviewers": "legal", "approve": 2, "deny": 1},
		],
		"ttl_s": 30,
		"risk": 90,
		"rules": ["team.area"],
	}]
}

test_a_rule_that_allows_no_grant_is_heard_among_others if {
	strict := object.union(of_calls, {"code": "strict", "no_grant": true})
	now := at(support.call("crm.read", {}), {"hold": {of_calls, strict}})
	now.obligations.hold.no_grant == true
	soon := at(support.request, {"hold": {of_calls, strict, of_answers}})
	{terms.stage: object.get(terms, "no_grant", false) | some terms in soon.obligations.hold_later} == {
		"tool_call": true,
		"response": false,
	}
}

test_a_rule_that_nothing_opens_is_heard_among_others if {
	strict := object.union(of_calls, {"code": "strict", "no_break_glass": true})
	now := at(support.call("crm.read", {}), {"hold": {of_calls, strict}})
	now.obligations.hold.no_break_glass == true
	soon := at(support.request, {"hold": {of_calls, strict, of_answers}})
	{terms.stage: object.get(terms, "no_break_glass", false) | some terms in soon.obligations.hold_later} == {
		"tool_call": true,
		"response": false,
	}
}

test_a_no_break_glass_that_is_none_is_malformed if {
	odd := object.union(of_calls, {"no_break_glass": "yes"})
	at(support.call("crm.read", {}), {"hold": {odd}}).effect == "deny"
}

test_settings_can_let_nothing_be_opened_at_all if {
	decision := sekisho.decision with input as support.call("crm.read", {})
		with data.packs as said({"allow": yes, "hold": {of_calls}})
		with data.modes as modes
		with data.hold as object.union(support.settings, {"no_break_glass": true})
	decision.obligations.hold.no_break_glass == true
}

test_a_no_grant_that_is_none_is_malformed if {
	odd := object.union(of_calls, {"no_grant": "yes"})
	at(support.call("crm.read", {}), {"hold": {odd}}).effect == "deny"
}

test_settings_can_allow_no_grant_at_all if {
	decision := sekisho.decision with input as support.call("crm.read", {})
		with data.packs as said({"allow": yes, "hold": {of_calls}})
		with data.modes as modes
		with data.hold as object.union(support.settings, {"no_grant": true})
	decision.obligations.hold.no_grant == true
}

test_time_is_office_time_only_if_all_say_so if {
	slow := object.union(of_calls, {"office_time": true})
	alone := at(support.call("crm.read", {}), {"hold": {slow}})
	alone.obligations.hold.office_time == true
	both := at(support.call("crm.read", {}), {"hold": {slow, object.union(of_calls, {"code": "fast"})}})
	not "office_time" in object.keys(both.obligations.hold)
	odd := object.union(of_calls, {"office_time": "yes"})
	at(support.call("crm.read", {}), {"hold": {odd}}).effect == "deny"
}

test_a_deny_beats_a_hold_at_each_stage if {
	every asked in [support.request, support.call("crm.read", {}), support.answer({})] {
		at(asked, {"hold": all_stages, "deny": no}).effect == "deny"
	}
}

test_a_stage_that_is_none_is_malformed if {
	every stage in ["later", "", 7, null, ["response"]] {
		malformed({"hold": {object.union({"code": "look", "msg": "Look."}, {"stage": stage})}})
	}
	decision := at(support.answer({}), {"hold": {{"code": "look", "msg": "Look.", "stage": "later"}}})
	{reason.code | some reason in decision.reasons} == {"malformed_rule"}
}

test_malformed_holds_of_earlier_stages_deny_too if {
	decision := at(support.answer({}), {"hold": {{"code": "look", "msg": "Look.", "approve": 0}}})
	{reason.code | some reason in decision.reasons} == {"malformed_rule"}
}

test_a_tool_that_was_taken_out_is_not_called if {
	kept := {{"allow_tools": ["crm.read"]}}
	at(support.call("crm.read", {}), {"obligation": kept}).effect == "allow"
	decision := at(support.call("crm.delete", {}), {"obligation": kept})
	decision.effect == "deny"
	[reason.code | some reason in decision.reasons] == ["tool_taken_out"]
	at(support.call("crm.read", {}), {"obligation": {{"allow_tools": []}}}).effect == "deny"
	at(support.answer({}), {"obligation": kept}).effect == "allow"
	ruled := at(support.call("crm.delete", {}), {"obligation": kept, "deny": no})
	[reason.code | some reason in ruled.reasons] == ["no"]
}

test_a_tool_call_without_a_name_is_a_deny if {
	every tool in [null, {}, {"name": ""}, {"name": null, "arguments": {}}, "crm.read"] {
		decision := at(support.changed({"stage": "tool_call", "tool": tool}), {})
		{reason.code | some reason in decision.reasons} == {"input_not_understood"}
	}
}

test_other_schema_is_a_deny if {
	asked := support.changed({"schema": "sekisho.input/v2"})
	decision := sekisho.decision with input as asked with data.packs as said({"allow": yes})
		with data.modes as modes
	{reason.code | some reason in decision.reasons} == {"input_not_understood"}
}

test_no_input_is_a_deny if {
	decision := sekisho.decision with input as {}
	decision.effect == "deny"
}

# What a decision is if the pack "trial" says `rules` in `mode` and another allows.
tried(mode, rules) := decision if {
	decision := sekisho.decision with input as support.request
		with data.packs as {"team": {"area": {"allow": yes}}, "trial": {"area": rules}}
		with data.modes as {"team": "enforce", "trial": mode}
		with data.hold as support.settings
}

all_sorts := {"deny": no, "hold": wait, "obligation": {{"max_tokens": 5}}, "allow": yes}

test_observe_changes_nothing_and_says_what_it_would_have if {
	decision := tried("observe", all_sorts)
	decision.effect == "allow"
	decision.reasons == []
	decision.obligations == {}
	decision.observed == [
		{"mode": "observe", "effect": "hold", "code": "look", "rule": "trial.area"},
		{"mode": "observe", "effect": "obligation", "code": "max_tokens", "rule": "trial.area"},
		{"mode": "observe", "effect": "deny", "code": "no", "rule": "trial.area"},
	]
}

test_warn_asks_for_a_reason if {
	decision := tried("warn", all_sorts)
	decision.effect == "allow"
	{reason.code | some reason in decision.reasons} == {"no", "look"}
	decision.obligations == {"justify": true}
	count(decision.observed) == 3
}

test_warn_with_nothing_to_say_asks_nothing if {
	decision := tried("warn", {})
	decision.obligations == {}
	decision.observed == []
}

test_warn_and_a_hold_of_another_pack if {
	decision := sekisho.decision with input as support.request
		with data.packs as {
			"team": {"area": {"allow": yes, "hold": wait}},
			"trial": {"area": {"deny": no}},
		}
		with data.modes as {"team": "enforce", "trial": "warn"}
		with data.hold as support.settings
	decision.effect == "hold"
	decision.obligations.justify == true
	decision.obligations.hold.ttl_s == 3600
	{reason.code | some reason in decision.reasons} == {"no", "look"}
}

later := {"hold": {of_answers, of_calls}}

test_packs_on_trial_and_later_stages if {
	observed := tried("observe", later)
	observed.obligations == {}
	{[one.effect, one.code] | some one in observed.observed} == {["hold", "answer"], ["hold", "call"]}
	warned := tried("warn", later)
	warned.obligations == {"justify": true}
	{reason.code | some reason in warned.reasons} == {"answer", "call"}
}

test_a_trial_asks_for_no_reason_when_the_request_has_left if {
	decision := sekisho.decision with input as support.answer({})
		with data.packs as {
			"team": {"area": {"allow": yes}},
			"trial": {"area": {"deny": no, "hold": {of_answers, of_calls}}},
		}
		with data.modes as {"team": "enforce", "trial": "warn"}
		with data.hold as support.settings
	decision.effect == "allow"
	decision.obligations == {}
	{reason.code | some reason in decision.reasons} == {"no", "answer"}
	{one.code | some one in decision.observed} == {"no", "answer"}
}

test_off_says_nothing if {
	decision := tried("off", all_sorts)
	decision.effect == "allow"
	decision.observed == []
}

test_a_milder_pack_permits_nothing if {
	every mode in ["observe", "warn", "off"] {
		decision := sekisho.decision with input as support.request
			with data.packs as said({"allow": yes})
			with data.modes as {"team": mode}
		decision.effect == "deny"
	}
}

test_a_pack_in_no_mode_permits_nothing if {
	decision := sekisho.decision with input as support.request
		with data.packs as said({"allow": yes})
		with data.modes as {}
	decision.effect == "deny"
}

test_malformed_in_a_milder_pack_refuses_nothing_and_is_seen if {
	every rules in [{"deny": {"no"}}, {"hold": {"wait"}}, {"obligation": {"redact"}}] {
		decision := tried("observe", rules)
		decision.effect == "allow"
		{[one.effect, one.code] | some one in decision.observed} == {["deny", "malformed_rule"]}
	}
	"malformed_rule" in {reason.code | some reason in tried("warn", {"deny": {"no"}}).reasons}
}

test_reasons_of_the_fold_are_in_three_languages if {
	asked := support.changed({"stage": "later", "schema": "other"})
	decision := sekisho.decision with input as asked with data.packs as {} with data.modes as modes
	called := sekisho.decision with input as support.call("crm.delete", {})
		with data.packs as said({"allow": yes, "obligation": {{"allow_tools": []}}})
		with data.modes as modes
	every reason in array.concat(decision.reasons, called.reasons) {
		object.keys(reason.texts) == {"zh", "ja"}
	}
}
