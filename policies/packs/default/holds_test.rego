package packs.default.holds_test

import data.packs.default.holds
import data.packs.default.support_test as support

test_nothing_to_hold if {
	holds.hold == set() with input as support.request
		with data.labels as support.labels
		with data.entities as {"held": ["resident_id"]}
		with data.hold as support.settings
}

test_label if {
	asked := support.changed({"content": {"labels": ["review"]}})
	support.codes(holds.hold) == {"label_held"} with input as asked
		with data.labels as support.labels
}

test_entity if {
	asked := support.changed({"content": {"entities": {"resident_id": 1}}})
	support.codes(holds.hold) == {"entity_held"} with input as asked
		with data.entities as {"held": ["resident_id"]}
}

test_model if {
	asked := support.changed({"request": {"model": "models/held-1"}})
	support.codes(holds.hold) == {"model_held"} with input as asked
		with data.hold as support.settings
}

test_tool if {
	asked := support.changed({"request": {"tools": ["crm.delete", "kb.find"]}})
	support.codes(holds.hold) == {"tool_held"} with input as asked
		with data.function_tools as {"held": ["*.delete"]}
}

test_budget if {
	asked := support.changed({"context": {"spend": {"day_percent": 10, "month_percent": 80}}})
	limit := {"budget_percent": 80, "models": []}
	support.codes(holds.hold) == {"budget_held"} with input as asked with data.hold as limit
	some entry in holds.hold with input as asked with data.hold as limit
	entry.texts.zh == "适用于您的一项预算已用去 80 %，此后的请求须先由审核人查看。"
	below := support.changed({"context": {"spend": {"day_percent": 10, "month_percent": 70}}})
	holds.hold == set() with input as below with data.hold as limit
	holds.hold == set() with input as support.request with data.hold as limit
}
