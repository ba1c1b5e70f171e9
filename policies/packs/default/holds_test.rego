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
