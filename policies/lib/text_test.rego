package lib.text_test

import data.lib.text

said := text.reason("code", [7, {"en": "here", "zh": "这里"}], {
	"en": "%d %s.",
	"zh": "%d %s。",
	"ja": "%d %s",
})

test_a_reason_in_three_languages if {
	said == {"code": "code", "msg": "7 here.", "texts": {"zh": "7 这里。", "ja": "7 here"}}
}
