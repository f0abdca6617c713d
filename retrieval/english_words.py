"""English words of surveys: which ask, which tell little, who is meant, and which mean alike.

Written by hand, for questions about values, trust, work, religion, politics and the like.
"""

from __future__ import annotations

# Words that ask rather than say what is asked about.
_ASKING_TEXT = (
    "a an the of to in on at for and or is are do does did be been being you your yours how much "
    "many far often would say that this it its i if as by with from not any can could should will "
    "what which who whom there these those have has had they them their we our us me my mine so "
    "than then when where while during past last twelve months year years nowadays days currently "
    "present overall all things taking considered taken together generally general ever view "
    "opinion eyes think believe feel agree disagree strongly extent degree level place put strong "
    "regularly frequently frequent regular important importance especially great one ones thing "
    "way ways matter matters rate stand describe describes best inspire inspires about sort quite "
    "really personally yourself somewhat every each both also ones either whole certain "
    "good bad greater together apart something exist exists"
)
ASKING = frozenset(_ASKING_TEXT.split())
# How words are typed in haste.
SHORT_FORMS = {
    "abt": "about",
    "gov": "government",
    "govt": "government",
    "gvmt": "government",
    "impt": "important",
    "ppl": "people",
    "r": "are",
    "u": "you",
    "ur": "your",
    "wrk": "work",
    "yr": "your",
}
# Words that may come on top without another question.
_VAGUE_TEXT = (
    "people person persons someone somebody thing country nation world society lot kind sort part "
    "everyone today modern current situation case matter issue way"
)
VAGUE = frozenset(_VAGUE_TEXT.split())
# Who may be meant.
_ROLES_TEXT = (
    "boss parent father mother child kids teacher wife husband friend doctor student boy girl man "
    "woman worker employer scientist politician leader expert family relative colleague neighbour "
    "citizen voter immigrant refugee president priest soldier journalist men women"
)
ROLES = frozenset(_ROLES_TEXT.split())
MALE = frozenset(["men", "man", "males", "male", "boy", "boys", "sons", "husband", "husbands"])
FEMALE = frozenset(
    ["women", "woman", "females", "female", "girl", "girls", "daughters", "wife", "wives"]
)
# On a line, words that may stand for one another.
LIKE_WORDS = """
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
    another different differ differs other others else
    happen happens happening place occur occurs
    better improve improves
    emails e-mails email
    task tasks duty
    relation relationship
    teach learn
    city town
    kind type
    present now
"""
