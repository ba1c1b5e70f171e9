# METADATA
# title: Models
# description: Which models a principal may ask; an allow-list per group.
# scope: package
package packs.default.models

import data.lib.text

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
deny contains text.reason("model_not_allowed", [input.request.model], {
	"en": "The model %s is not on your list. GET /v1/models lists those you may use.",
	"zh": "模型 %s 不在您的清单上。GET /v1/models 会列出您可以使用的模型。",
	"ja": "モデル %s はあなたの一覧にありません。使えるモデルは GET /v1/models で分かります。",
}) if {
	not listed
}

# METADATA
# title: Unknown model
# description: No backend offers the model.
deny contains text.reason("unknown_model", [input.request.model], {
	"en": "No backend here offers the model %s. GET /v1/models lists those there are.",
	"zh": "这里没有后端提供模型 %s。GET /v1/models 会列出现有的模型。",
	"ja": "モデル %s を提供するバックエンドがありません。あるものは GET /v1/models で分かります。",
}) if {
	not is_string(input.request.backend)
}

# METADATA
# title: Listed
# description: |
#   The principal's own list if there is one, else those of all the groups, has a pattern for the
#   model, or an assistant of these groups asks it. A star also matches slashes and dots.
listed if {
	some pattern in data.principals[input.principal.id].models
	glob.match(pattern, null, input.request.model)
}

listed if {
	not own_list
	some group in input.principal.groups
	some pattern in data.groups[group].models
	glob.match(pattern, null, input.request.model)
}

listed if {
	not own_list
	some group in input.principal.groups
	group in data.assistants[input.request.assistant].groups
}

# METADATA
# title: Own list
# description: data.yaml gives this principal a list; an empty one allows nothing.
own_list if is_array(data.principals[input.principal.id].models)
