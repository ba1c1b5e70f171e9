# METADATA
# title: Text
# description: |
#   What a rule says to people, in English, Chinese and Japanese. English is `msg`, which the ledger
#   and every reader has; the others are `texts`, and the gateway picks what the person reads.
# scope: package
package lib.text

# METADATA
# title: Reason
# description: |
#   An entry for `deny` or `hold`. `says` has a format for each of en, zh and ja, `values` what stands
#   in it for %s or %d. A value that is an object is itself a text in these languages.
reason(code, values, says) := {
	"code": code,
	"msg": filled("en", values, says),
	"texts": {language: filled(language, values, says) | some language in ["zh", "ja"]},
}

filled(language, values, says) := sprintf(
	says[language],
	[shown | some value in values; shown := in_language(language, value)],
)

in_language(language, value) := object.get(value, language, value.en) if is_object(value)

in_language(_, value) := value if not is_object(value)
