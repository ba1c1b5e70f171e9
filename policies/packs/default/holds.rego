# METADATA
# title: Holds
# description: What people must answer first. Reviewers, thresholds and time come from data.hold.
# scope: package
package packs.default.holds

import data.lib.text

# METADATA
# title: Label held
# description: A word list gave the text a label that somebody has to look at.
hold contains text.reason("label_held", [label], {
	"en": "The text is labelled %s, so a reviewer looks at it first.",
	"zh": "文本带有标签 %s，须先由审核人查看。",
	"ja": "本文にラベル %s が付いているため、先に審査者が確認します。",
}) if {
	some label in input.content.labels
	label in data.labels.held
}

# METADATA
# title: Entity held
# description: A kind of personal data that somebody has to look at.
hold contains text.reason("entity_held", [kind], {
	"en": "The text holds personal data (%s), so a reviewer looks at it first.",
	"zh": "文本中有个人信息（%s），须先由审核人查看。",
	"ja": "本文に個人情報（%s）があるため、先に審査者が確認します。",
}) if {
	some kind, _ in input.content.entities
	kind in data.entities.held
}

# METADATA
# title: Model held
# description: A model whose every use somebody has to look at.
hold contains text.reason("model_held", [input.request.model], {
	"en": "Each use of the model %s is looked at first.",
	"zh": "模型 %s 的每次使用都须先经审核。",
	"ja": "モデル %s の利用は毎回、先に確認されます。",
}) if {
	some pattern in data.hold.models
	glob.match(pattern, null, input.request.model)
}

# METADATA
# title: Tool held
# description: A tool of the client with which somebody looks at the whole request first.
hold contains text.reason("tool_held", [name], {
	"en": "The request offers the tool %s, so a reviewer looks at it first.",
	"zh": "请求提供了工具 %s，须先由审核人查看。",
	"ja": "依頼がツール %s を提供しているため、先に審査者が確認します。",
}) if {
	some name in input.request.tools
	some pattern in data.function_tools.held
	glob.match(pattern, null, name)
}

# METADATA
# title: Budget held
# description: So much of a budget is used that somebody looks at what the rest is used for.
hold contains text.reason("budget_held", [data.hold.budget_percent], {
	"en": "%d %% of a budget that applies to you is used, so a reviewer looks at requests from here on.",
	"zh": "适用于您的一项预算已用去 %d %%，此后的请求须先由审核人查看。",
	"ja": "あなたに適用される予算の %d %% が使われたため、以後の依頼は先に審査者が確認します。",
}) if {
	some percent in [input.context.spend.day_percent, input.context.spend.month_percent]
	percent >= data.hold.budget_percent
}
