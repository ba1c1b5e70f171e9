package packs.default.content_test

import data.packs.default.content
import data.packs.default.support_test as support

test_plain_text_passes if {
	content.deny == set() with input as support.request
		with data.labels as support.labels
		with data.groups as support.groups
}

test_label_denied_says_what_to_do if {
	asked := support.changed({"content": {"labels": ["secret"]}})
	some reason in content.deny with input as asked with data.labels as support.labels
	reason.code == "label_denied"
	contains(reason.msg, "Take it out.")
}

test_label_onprem_only if {
	asked := support.changed({"content": {"labels": ["internal"]}})
	content.obligation == {{"route": "trust:onprem"}} with input as asked
		with data.labels as support.labels
	content.obligation == set() with input as support.request with data.labels as support.labels
}

test_entity_masked if {
	asked := support.changed({"content": {"entities": {"card": 1, "email": 2}}})
	content.obligation == {{"redact": ["email"]}} with input as asked
		with data.entities as {"redacted": ["email", "resident_id"]}
	content.obligation == set() with input as asked with data.entities as {"redacted": []}
}

test_credentials_always if {
	asked := support.changed({"content": {"entities": {"credential_aws": 1, "email": 2}}})
	support.codes(content.deny) == {"credential_found"} with input as asked
		with data.entities as {"denied": [], "held": []}
}

test_entity_denied if {
	asked := support.changed({"content": {"entities": {"card": 1, "email": 2}}})
	support.codes(content.deny) == {"entity_denied"} with input as asked
		with data.entities as {"denied": ["card"]}
}

test_attachment_needs_a_group if {
	asked := support.changed({"content": {"opaque_chars": 9}})
	support.codes(content.deny) == {"attachment_not_scanned"} with input as asked
		with data.groups as support.groups
	able := support.changed({
		"principal": {"groups": ["engineering"]},
		"content": {"opaque_chars": 9},
	})
	content.deny == set() with input as able with data.groups as support.groups
}

test_a_denied_label_says_it_in_the_language_of_the_reader if {
	asked := support.changed({"content": {"labels": ["secret"]}})
	some reason in content.deny with input as asked
		with data.labels as {"denied": {"secret": {"en": "Take it out.", "zh": "请删除。"}}}
	reason.texts.zh == "文本带有标签 secret。请删除。"
	contains(reason.texts.ja, "Take it out.")
}

test_entity_onprem_only if {
	asked := support.changed({"content": {"entities": {"card": 1}}})
	content.obligation == {{"route": "trust:onprem"}} with input as asked
		with data.entities as {"onprem_only": ["card"]}
}

test_denials_are_about_the_text_of_each_stage if {
	found := {"content": {"labels": ["secret"], "entities": {"card": 1, "credential_aws": 1}}}
	every asked in [support.changed(found), support.call("crm.read", found), support.answer(found)] {
		support.codes(content.deny) == {"label_denied", "credential_found", "entity_denied"}
			with input as asked
			with data.labels as support.labels
			with data.entities as {"denied": ["card"]}
	}
}

test_masks_and_attachments_are_about_what_leaves if {
	found := {"content": {"entities": {"email": 1}, "opaque_chars": 9}}
	every asked in [support.call("crm.read", found), support.answer(found)] {
		content.obligation == set() with input as asked with data.entities as {"redacted": ["email"]}
		content.deny == set() with input as asked with data.groups as support.groups
	}
}
