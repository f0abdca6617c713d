"""Which language a text that is not English is in, told from its script and its small words."""

from __future__ import annotations

import re

# The languages that a text is told to be in.
TOLD = ("de", "es", "pt", "ru", "zh")
_WORD = re.compile(r"[^\W\d_]+")
_WORDS_OF = {
    "de": "der die das den dem des ein eine einen einem einer ist sind war und oder nicht kein "
    "keine zu zum zur von vom mit auf für sie er es ich du wir ihr mein dein sein wie was wer "
    "wo wann warum wieso weshalb wozu bei im am an aus nach über unter man sich auch noch nur "
    "sehr in ihre ihren ihrem ihrer ihnen mich mir dich dir uns darf dürfen soll sollte "
    "sollten kann können muss müssen wird werden würde haben hat gibt welche welcher welches "
    "dass wenn ob etwas viel viele mehr glaubst denkst findest findet",
    "es": "el la los las un una unos unas y o que qué es son ser está están de del en con por para "
    "como cómo cuál cuánto cuánta cuándo dónde quién no si sí se su sus lo le les me te tu tú "
    "usted mi más muy pero porque hay tiene tienes tener puede pueden debe deben deber este "
    "esta al cree crees piensa piensas cuán algo eso sobre a",
    "pt": "o a os as um uma uns umas e ou que é são ser está estão quê de do da dos das em no na "
    "nos nas com por para pelo pela como qual quanto quando onde quem porquê não se seu sua "
    "seus suas lhe me te você vocês tu eu mais muito mas porque há tem ter pode podem deve "
    "devem este esta isso ao à acha pensa acredita quão algo sobre",
    "fr": "le la les un une des du de et ou est sont que qui quoi dans en pour par avec sur pas ne "
    "ce cette ces vous nous je tu il elle votre vos mon ton son comment pourquoi quand où "
    "quel quelle au aux être avoir peut doit très plus mais si se faut",
    "it": "il lo la i gli le un una uno di del della dei delle e o è sono che chi non per con in "
    "nel nella su al alla come quanto quando dove perché cosa si tuo tua suo sua voi lei "
    "molto più ma se essere può deve questo questa mi ti",
    "nl": "de het een en of is zijn niet van voor met op in te om aan bij uit naar je jij u wij "
    "hij zij ik wat wie hoe waar waarom wanneer dat dit die deze er maar ook nog heel veel meer "
    "kan moet mag mogen zou zal wordt hebben heeft geen uw mijn",
    "ca": "el la els les un una i o que què és són de del dels en amb per com quant quan on qui "
    "no si es seu seva la teva més molt però perquè hi ha és té pot deu aquest aquesta al",
    "other": "og er det at som på av af til ikke jeg med for den et och att är det som på inte med "
    "att jest nie to się na do czy jak co że w z i ve bir bu mi için ne de da çok yang dan di ini "
    "itu untuk apa adalah dengan ka ta ang ng sa na ja on ei se kuin",
}
_OWN_LETTERS = {"de": "ß", "es": "ñ¿¡", "pt": "ãõ"}
_LETTERS_COUNT = 2.0
# Letters of other languages in the same script.
_NOT_RUSSIAN = frozenset("іїєґўјљњћђџѓќѕәғқңөұүһҳҷӣӯ")
_SMALL = {language: frozenset(words.split()) for language, words in _WORDS_OF.items()}


def tell_language(text: str) -> str | None:
    """Return `de`, `es`, `pt`, `ru` or `zh` for a text that is not English; None for another.

    None too where nothing tells. Bulgarian is taken for Russian.
    """
    folded = text.casefold()
    letters = [character for character in folded if character.isalpha()]
    if 2 * sum("\u4e00" <= character <= "\u9fff" for character in letters) > len(letters):
        return None if any("\u3040" <= character <= "\u30ff" for character in letters) else "zh"
    if 2 * sum("\u0400" <= character <= "\u04ff" for character in letters) > len(letters):
        return None if _NOT_RUSSIAN.intersection(letters) else "ru"
    return _tell_by_words(folded)


def _tell_by_words(folded: str) -> str | None:
    words = _WORD.findall(folded)
    found = {
        language: sum(word in small for word in words)
        + _LETTERS_COUNT * any(letter in folded for letter in _OWN_LETTERS.get(language, ""))
        for language, small in _SMALL.items()
    }
    best, second = sorted(found, key=lambda language: -found[language])[:2]
    is_told = found[best] > found[second] and best in _OWN_LETTERS
    return best if is_told else None
