package packs.finance.supervision_test

import data.packs.default.support_test as support
import data.packs.finance.supervision

rules := {"finance": {"client_labels": ["client_advice"], "supervisors": "principals"}}

test_words_to_clients_go_to_a_supervisor if {
	asked := support.changed({"content": {"labels": ["client_advice"]}})
	some held in supervision.hold with input as asked with data.sectors as rules
	held.code == "client_communication"
	held.reviewers == "principals"
	object.keys(held.texts) == {"zh", "ja"}
	supervision.hold == set() with input as support.request with data.sectors as rules
}

steps(entries) := {[entry.stage, entry.step, entry.reviewers] |
	some said in entries
	entry := object.union({"stage": "request", "step": 1}, said)
}

test_compliance_looks_after_the_supervisor if {
	asked := support.changed({"content": {"labels": ["client_advice"]}})
	second := {"finance": object.union(reviewed.finance, {"compliance": ["compliance", "legal"]})}
	steps(supervision.hold) == {
		["request", 1, "principals"],
		["request", 2, "compliance"],
		["request", 2, "legal"],
		["response", 1, "principals"],
		["response", 2, "compliance"],
		["response", 2, "legal"],
	} with input as asked
		with data.sectors as second
	supervision.hold == set() with input as support.request with data.sectors as second
}

test_without_compliance_supervisors_look_alone if {
	asked := support.changed({"content": {"labels": ["client_advice"]}})
	none := {"finance": object.union(rules.finance, {"compliance": []})}
	steps(supervision.hold) == {["request", 1, "principals"]} with input as asked
		with data.sectors as none
	steps(supervision.hold) == {["request", 1, "principals"]} with input as asked
		with data.sectors as rules
}

reviewed := {"finance": object.union(rules.finance, {
	"answers_reviewed": true,
	"client_groups": ["sales"],
})}

stages(entries) := {entry.code: object.get(entry, "stage", "request") | some entry in entries}

test_answers_to_clients_go_to_a_supervisor_too if {
	asked := support.changed({"content": {"labels": ["client_advice"]}})
	both := {"client_communication": "request", "client_answer": "response"}
	stages(supervision.hold) == both with input as asked with data.sectors as reviewed
	stages(supervision.hold) == {"client_communication": "request"} with input as asked
		with data.sectors as rules
	answered := support.answer({"content": {"labels": ["client_advice"]}})
	some held in supervision.hold with input as answered with data.sectors as reviewed
	[held.code, held.stage, held.reviewers] == ["client_answer", "response", "principals"]
	supervision.hold == set() with input as support.answer({}) with data.sectors as reviewed
}

test_answers_for_those_who_write_to_clients_are_read_whole if {
	read := {{"review_response": true}}
	supervision.obligation == read with input as support.request with data.sectors as reviewed
	supervision.obligation == set() with input as support.request with data.sectors as rules
	other := support.changed({"principal": {"groups": ["engineering"]}})
	supervision.obligation == set() with input as other with data.sectors as reviewed
}

test_tools_rest_when_the_desk_is_closed if {
	asked := support.changed({"request": {"tools": ["desk.book"]}, "context": {"office_hours": false}})
	support.codes(supervision.deny) == {"tools_after_hours"} with input as asked
	open := object.union(asked, {"context": {"office_hours": true}})
	supervision.deny == set() with input as open
	plain := support.changed({"context": {"office_hours": false}})
	supervision.deny == set() with input as plain
}
