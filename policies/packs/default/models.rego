# METADATA
# title: Models
# description: Which models a principal may ask; an allow-list per group.
# scope: package
package packs.default.models

# METADATA
# title: Model allowed
# description: A pattern of the principal's groups, or of the principal, matches the model.
allow contains {
	"code": "model_allowed",
	"msg": "This model is on the list of your group.",
} if {
	listed
}

# METADATA
# title: Model not allowed
# description: No pattern matches.
deny contains {
	"code": "model_not_allowed",
	"msg": sprintf(
		"The model %s is not on your list. GET /v1/models lists those you may use.",
		[input.request.model],
	),
} if {
	not listed
}

# METADATA
# title: Unknown model
# description: No backend offers the model.
deny contains {
	"code": "unknown_model",
	"msg": sprintf(
		"No backend here offers the model %s. GET /v1/models lists those there are.",
		[input.request.model],
	),
} if {
	not is_string(input.request.backend)
}

# METADATA
# title: Listed
# description: The model matches a pattern. A star also matches slashes and dots.
listed if {
	some pattern in patterns
	glob.match(pattern, null, input.request.model)
}

# METADATA
# title: Patterns
# description: The principal's own list if there is one, else those of all the groups.
patterns contains pattern if {
	some pattern in data.principals[input.principal.id].models
}

patterns contains pattern if {
	not own_list
	some group in input.principal.groups
	some pattern in data.groups[group].models
}

# METADATA
# title: Own list
# description: data.yaml gives this principal a list; an empty one allows nothing.
own_list if is_array(data.principals[input.principal.id].models)
