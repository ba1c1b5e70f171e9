# METADATA
# title: Holds
# description: What people must answer first. Reviewers, thresholds and time come from data.hold.
# scope: package
package packs.default.holds

# METADATA
# title: Label held
# description: A word list gave the text a label that somebody has to look at.
hold contains {
	"code": "label_held",
	"msg": sprintf("The text is labelled %s, so a reviewer looks at it first.", [label]),
} if {
	some label in input.content.labels
	label in data.labels.held
}

# METADATA
# title: Entity held
# description: A kind of personal data that somebody has to look at.
hold contains {
	"code": "entity_held",
	"msg": sprintf("The text holds personal data (%s), so a reviewer looks at it first.", [kind]),
} if {
	some kind, _ in input.content.entities
	kind in data.entities.held
}

# METADATA
# title: Model held
# description: A model whose every use somebody has to look at.
hold contains {
	"code": "model_held",
	"msg": sprintf("Each use of the model %s is looked at first.", [input.request.model]),
} if {
	some pattern in data.hold.models
	glob.match(pattern, null, input.request.model)
}
