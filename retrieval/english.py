"""English as questions of surveys are put: what is scale or frame, what words say and mean alike.

Written by hand, for questions about values, trust, work, religion, politics and the like.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

_SCALE = re.compile(
    r"[,:;]?\s*(?:answer |place yourself |rate it )?"
    r"\b(?:from|between|where|if|on a scale (?:from|of))\s+[01]\b"
    r".*?\b10\b(?:,? (?:means )?[^,?.:]+)?,?",
    re.IGNORECASE,
)
_FRAME = re.compile(
    r"^(?:(?:do|would) you agree (?:or disagree )?(?:that )?,? ?(?:generally, |in general, )?"
    r"|how far do you agree that |all in all,? |taking everything into account,? "
    r"|all things considered,? |taking all things together,? )",
    re.IGNORECASE,
)
WORD = re.compile(r"[^\W\d_]{2,}")
PREFIX, SPELLED_ALIKE = 5, 0.85
_ENDINGS = (
    *("ingly", "edly", "ments", "ment", "ness", "ations", "ation", "ings"),
    *("ing", "ies", "ied", "es", "ed", "ly", "s", "e", "y"),
)
_MIN_STEM = 4
# Words that ask rather than say what is asked about.
_ASKING_TEXT = (
    "a an the of to in on at for and or is are do does did be been being you your yours how much "
    "many far often would say that this it its i if as by with from not any can could should will "
    "what which who whom there these those have has had they them their we our us me my mine so "
    "than then when where while during past last twelve months year years nowadays days currently "
    "present overall all things taking considered taken together generally general ever view "
    "opinion eyes think believe feel agree disagree strongly extent degree level place put strong "
    "regularly frequently frequent regular important importance especially great one ones thing "
    "way ways"
)
_ASKING = frozenset(_ASKING_TEXT.split())
# Words that may come on top without another question.
_VAGUE_TEXT = (
    "people person persons someone somebody thing country nation world society lot kind sort part "
    "everyone today modern current situation case matter issue way"
)
_VAGUE = frozenset(_VAGUE_TEXT.split())
# What kind of question it is. Two questions of different kinds are rarely the same one.
KINDS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"how (?:often|frequent\w*|regularly)|frequen|regularly",
        r"how many|what share",
        r"\bshould\b|\bmay\b",
        r"justif|ever ok\b",
        r"\bago\b|\bwas\b|\bwere\b|\bdid\b|used to|in the (?:last|past)|past year",
        r"\byour\b|\byou\b|youre",
        r"^how (?:much|strong|far|important|satisfied|close|confident|worried)|extent|degree",
    )
)
_OWN = re.compile(r"\bown\b|\bmy\b|\bsame\b", re.IGNORECASE)
_OTHERS = re.compile(
    r"\bother than\b|\banother\b|\bdiffer\w*|\bforeign\w*|\bother countries\b", re.IGNORECASE
)
# A quiz, and what is only second best.
_FACTUAL = re.compile(
    r"^(?:who|when|where|which \w+) (?:is|are|was|were|did|does)\b", re.IGNORECASE
)
_SECOND = re.compile(r"\bsecond(?:ly)?\b", re.IGNORECASE)
_COMPARING = re.compile(r"\bthan\b|\bbeat\b|\bhit\b|\bbefore\b")
_MALE = frozenset(["men", "man", "males", "male", "boy", "boys", "sons", "husband", "husbands"])
_FEMALE = frozenset(
    ["women", "woman", "females", "female", "girl", "girls", "daughters", "wife", "wives"]
)
# On a line, words that may stand for one another.
_LIKE_WORDS = """
    trust confidence faith rely reliance trustworthy believe belief credence
    child children kid kids youngster youngsters
    parent parents
    father fathers dad
    mother mothers mum mom
    husband spouse man
    wife wives spouse woman
    woman women female females lady
    man men male males
    homosexual homosexuals homosexuality gay lesbian same-sex
    job jobs work employment employed occupation career profession working works post position
    unemployed unemployment jobless jobs
    money cash income financial finances finance
    pay paid salary wage wages earn earns earning income
    poor needy poverty
    rich wealthy wealth affluent
    firm firms company companies business businesses corporation corporations enterprise industry
    executive executives manager managers
    government state authorities govern ruling
    politics political politician politicians
    leader leaders leadership ruler rulers
    army military soldiers forces armed troops
    police policemen policeman cops
    court courts judicial judiciary judges
    parliament legislature congress assembly
    newspaper newspapers paper papers press
    television tv broadcast
    radio broadcast
    internet web online electronic
    email emails mail
    phone mobile cellphone cell telephone
    news information inform informed
    media press journalists journalism reporters
    union unions labour labor trade
    charity charities charitable humanitarian
    environment environmental nature ecological green climate
    climate warming
    pollution emissions
    organisation organization association associations group groups club society
    member members belong join joined membership
    religion religious faith church creed belief
    church churches mosque mosques temple temples worship
    service services mass ceremony ceremonies ritual rituals
    pray prayer prayers praying
    neighbour neighbours neighbor neighbors neighbourhood neighborhood door area around local
    object mind bother dislike reject
    immigrant immigrants migrant migrants immigration migration foreigner foreigners foreign
    language tongue
    drug drugs narcotics
    addict addicts hooked addicted
    drinker drinkers alcoholic alcoholics alcohol drinking drink
    race racial racist racism colour ethnic
    unmarried married marry marriage wedlock
    couple couples partners pair
    crime crimes criminal criminals offence
    rob robbed robbery robberies theft
    steal stealing stole theft property
    fight fights fighting brawl brawls violence violent
    harassment harassed pestered
    safe safety secure security unsafe
    weapon weapons knife gun arm arms
    war wars conflict
    terror terrorism terrorist terrorists
    worry worried worries afraid fear concern concerned anxious
    victim victims suffer suffered suffering
    justified justifiable justify justification ok acceptable okay
    cheat cheating evasion evade
    tax taxes taxation
    bribe bribes bribed bribery
    corrupt corruption
    fare ticket
    benefit benefits welfare aid
    entitled right rights
    euthanasia mercy
    death dead die dying died
    penalty punishment capital execution
    beat beating hit
    sex sexual sexually sleep
    casual one-night stands
    prostitution prostitute
    abortion pregnancy abort
    divorce divorced split
    happy happiness glad
    satisfied satisfaction content contented dissatisfied
    health healthy healthier medical
    medicine medical treatment doctor care
    food eat hungry hunger
    shelter housing roof home house
    freedom free liberty
    equal equality equally same
    choice choose choosing control decide
    democracy democratic democratically
    election elections vote votes voting voter voters ballot ballots
    candidate candidates standing stand
    petition petitions
    boycott boycotts
    demonstration demonstrations march protest protests rally
    strike strikes
    donate donated donation give
    contact contacted touch write call
    encourage encouraged urge urged
    organise organised organize organized set
    fair fairly honest honestly unbiased
    proud pride
    close attached attachment bond tied connected
    town city village locality
    region district county province
    country nation national
    continent europe asia africa
    world global globe earth planet
    science scientific scientists scientist
    technology technologies technological tech
    ai artificial intelligence
    god lord divine deity
    heaven paradise
    moral morals morality ethics
    learn learning teach taught teaching raise raised brought education bring
    education educational school schooling schools training study university
    manners polite politeness
    thrift thrifty saving save savings
    obedience obedient obey obeying
    unselfishness unselfish selfish
    imagination imaginative
    responsibility responsible
    tolerance tolerant tolerate
    respect respectful
    determination perseverance persevere determined give-up
    independence independent
    leisure spare free recreation
    friend friends
    family families relatives relations kin
    important importance matter matters weight mean means priority
    goal goals aim aims
    often frequently regularly frequent regular
    likely chances chance expect probable probability
    future years coming
    danger dangers threat threats risk risks
    harm harms hurt hurts damage suffer
    cause causes caused reason brings
    reduce cut lower
    energy power electricity
    economy economic growth
    fuel fuels coal oil gas
    renewable renewables wind solar sun
    productive productivity
    replace replaced change changed
    entertainment fun entertain
    financial money
    transport transportation travel
    assistant assistants
    surveillance cameras video watch monitor
    collect gathering gather collecting
    private privacy
    opinion view views
    interest interested
    discuss discussed talk talking talks discussion
    development develop develops
    culture cultural
    diversity varied
    asylum shelter refuge refugee refugees
    expert experts specialists
    strong powerful
    law laws legal
"""


def strip_scale(text: str) -> str:
    """Return a question without what it says of its scale, and without a frame before it."""
    core = " ".join(_SCALE.sub(" ", text).split())
    core = re.sub(r"\s+([?.,])", r"\1", core).strip(" ,:")
    core = _FRAME.sub("", core).strip(" ,:")
    return core[0].upper() + core[1:] if core else text


def find_words(text: str) -> Mapping[str, str]:
    """Return the words that say what a question is about, by their stems."""
    words: dict[str, str] = {}
    for word in WORD.findall(text.casefold()):
        stem = _stem(word)
        if word not in _ASKING and stem not in _ASKING:
            words.setdefault(stem, word)
    return MappingProxyType(words)


def find_kinds(text: str) -> tuple[bool, ...]:
    """Return which of KINDS a question is of."""
    return tuple(kind.search(text) is not None for kind in KINDS)


def find_missing(words: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    """Return the stems of `words` that tell something and for which `known` has none like it."""
    return [s for s, word in words.items() if word not in _VAGUE and not is_among(s, known)]


def is_among(stem: str, known: Mapping[str, str]) -> bool:
    """Return whether `known` has the stem, one that looks like it or one that means the same."""
    if stem in known or any(_is_alike(stem, other) for other in known):
        return True
    groups = _GROUPS.get(stem, frozenset())
    return any(not groups.isdisjoint(_GROUPS.get(other, frozenset())) for other in known)


def is_spelled_among(stem: str, known: Mapping[str, str]) -> bool:
    """Return whether `known` has the stem or one that looks like it."""
    return stem in known or any(_is_alike(stem, other) for other in known)


def is_opposed(asked: str, known: str) -> bool:
    """Return whether two questions cannot be one, however alike their words are.

    That is where one asks of one's own what the other asks of others', and where only one asks for
    a fact or for what comes second.
    """
    of_others = _differ(_OWN, asked, known) and _differ(_OTHERS, asked, known)
    return of_others or _differ(_FACTUAL, asked, known) or _differ(_SECOND, asked, known)


def is_swapped(asked: str, known: str) -> bool:
    """Return whether both compare the sexes, the other way round."""
    if not _COMPARING.search(asked.casefold()):
        return False
    one, other = _first_sex(asked), _first_sex(known)
    return one is not None and other is not None and one != other


def _differ(pattern: re.Pattern[str], one: str, other: str) -> bool:
    return (pattern.search(one) is None) != (pattern.search(other) is None)


def _first_sex(text: str) -> bool | None:
    """Return whether the male sex is named first; None where not both are named."""
    words = WORD.findall(text.casefold())
    named = [word in _MALE for word in words if word in _MALE or word in _FEMALE]
    return named[0] if len(set(named)) == 2 else None


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
            return word.removesuffix(ending)
    return word


@lru_cache(maxsize=65_536)
def _is_alike(one: str, other: str) -> bool:
    """Return whether two words have one root, or differ by a slip of the pen."""
    shortest = min(len(one), len(other))
    if shortest < _MIN_STEM or one[0] != other[0]:
        return False
    if one[:PREFIX] == other[:PREFIX]:
        return True
    matcher = difflib.SequenceMatcher(None, one, other)
    return (
        shortest >= PREFIX
        and matcher.real_quick_ratio() >= SPELLED_ALIKE
        and matcher.ratio() >= SPELLED_ALIKE
    )


def _read_groups(lines: str) -> dict[str, frozenset[int]]:
    groups: dict[str, set[int]] = {}
    for number, line in enumerate(lines.strip().splitlines()):
        for word in line.split():
            groups.setdefault(_stem(word), set()).add(number)
    return {stem: frozenset(numbers) for stem, numbers in groups.items()}


_GROUPS = _read_groups(_LIKE_WORDS)
