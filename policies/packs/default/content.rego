# METADATA
# title: Content
# description: What labels, found entities and attachments lead to. The text itself is never seen.
# scope: package
package packs.default.content

# METADATA
# title: Label denied
# description: A word list gave the text a label that may not leave.
deny contains {
	"code": "label_denied",
	"msg": sprintf("The text is labelled %s. %s", [label, data.labels.denied[label]]),
} if {
	some label in input.content.labels
	data.labels.denied[label]
}

# METADATA
# title: Label bound to the premises
# description: It goes to a backend on our own premises that offers the model; without one, nowhere.
obligation contains {"route": "trust:onprem"} if {
	some label in input.content.labels
	label in data.labels.onprem_only
}

# METADATA
# title: Entity masked
# description: A kind of personal data that is masked before the request leaves.
obligation contains {"redact": [kind]} if {
	some kind, _ in input.content.entities
	kind in data.entities.redacted
}

# METADATA
# title: Credential found
# description: Keys, tokens and passwords never leave, whoever asks.
deny contains {
	"code": "credential_found",
	"msg": sprintf(
		"The text holds what looks like a secret (%s). Take it out, and replace it if it is real.",
		[kind],
	),
} if {
	some kind, _ in input.content.entities
	startswith(kind, "credential_")
}

# METADATA
# title: Entity denied
# description: A kind of personal data that data.yaml forbids.
deny contains {
	"code": "entity_denied",
	"msg": sprintf("The text holds personal data (%s) that may not be sent. Take it out.", [kind]),
} if {
	some kind, _ in input.content.entities
	kind in data.entities.denied
}

# METADATA
# title: Attachment not looked into
# description: Inline files and images cannot be scanned; only some groups may send them.
deny contains {
	"code": "attachment_not_scanned",
	"msg": concat(" ", [
		"The request carries a file or an image, which nobody can look into here.",
		"Send the text instead.",
	]),
} if {
	not input.content.opaque_chars == 0
	not may_attach
}

# METADATA
# title: May attach
# description: Some group of the principal may send what cannot be scanned.
may_attach if {
	some group in input.principal.groups
	data.groups[group].attachments == true
}
