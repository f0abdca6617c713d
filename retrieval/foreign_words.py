"""What single words say in questions that are not English: which only ask, and which decide.

For a language that is not here nothing is known but what the wordings themselves show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

# Words that ask, agree or address, and say nothing of what a question is about. Without accents.
_ASKING_OF = {
    "de": "der die das den dem des ein eine einen einem einer ist sind war und oder zu zum zur von "
    "vom mit auf fur sie er es ich du wir ihr mein dein sein wie was wer wo im in am an aus "
    "nach uber unter man sich auch noch nur bei dass wenn ob als gegen durch ihre ihren ihrem "
    "ihrer ihres ihnen mich mir dich dir deine deinen deinem deiner uns unser unsere unserem "
    "unseren eure sagen wurden wurdest wurde konnen kann konnte darf sollte sollten soll "
    "haben hat hast hatten hattest hatte werden wird bist seid waren ware fanden finden "
    "findest findet halten haltst glauben glaubst meinen meinst denken denkst sehen sehr viel "
    "welche welcher welches welchem welchen mass masse gross grosse grossen inwieweit wieviel "
    "weit stimmen stimmst stimme aussage ansicht meinung augen einschatzung personlich "
    "insgesamt alles allem allgemeinen generell uberhaupt eigentlich derzeit zurzeit momentan "
    "heute heutzutage etwas so da dort schon einmal mal ja nein bitte antworten skala liegt "
    "geht gibt daran darauf dazu dabei eher stehen steht dieser diese dieses ganz schatzen "
    "bewerten einstufen beurteilen nun denn doch",
    "es": "el la los las un una unos unas y o u que es son ser esta estan estar de del en con por "
    "para como cual cuanto cuanta cuantos cuantas cuando donde quien si se su sus lo le les "
    "me te tu tus usted ustedes mi mas muy pero hay tiene tienes tener puede pueden podria "
    "debe deben deberia deberian al a cree crees creer piensa piensas opina opinion diria "
    "dirias decir siente sientes parece considera consideras esto eso ese esa este algo tan "
    "qu hasta punto medida grado acuerdo desacuerdo idea general conjunto actualidad "
    "actualmente hoy dia nivel escala responda tendria tendrias seria serian fuera fueran ha "
    "has haya hace alguna alguno algun vez alguien cosa cosas modo ver juicio suyo ellos e ti "
    "personalmente resumen bien",
    "pt": "o a os as um uma uns umas e ou que sao ser esta estao de do da dos das em no na nos nas "
    "com por para pelo pela pelos pelas como qual quais quanto quanta quantos quantas quando "
    "onde quem se seu sua seus suas lhe me te voce voces vc tu teu tua eu mais muito muita "
    "mas ha tem ter tinha pode podem poderia deve devem deveria deveriam isso isto ao aos "
    "acha pensa acredita opiniao diria sente considera algo quao ate ponto medida grau nivel "
    "concorda discorda ideia geral conjunto atualmente hoje dia escala responda teria seria "
    "fosse fossem alguma algum vez alguem coisa coisas modo ver pra pro gente foi la ai q ta "
    "dele dela numa num pessoalmente conta tudo bem",
    "ru": "и или в во на с со к ко о об от до по за из у для что как кто где когда ли бы же это "
    "этот эта эти то тем того той том быть был была были есть вы вам вас вами ваш ваша ваше "
    "ваши вашей вашего вашему вашем вашим вашими ваших вашу ты тебе тебя твои твоя твое твоей "
    "я мне мы нам нас наш наша наше нашем нашей наших своей своим своих своего свои свою "
    "насколько сколько какова каков какое какую какая какой каком степень степени мере сильно "
    "очень согласны согласен согласились думаете думаешь считаете считаешь считаются мнению "
    "взгляд кажется сказали можете могли может можно должен должна должно должны следует "
    "нужно надо чем чтобы если целом общем сейчас сегодня время настоящее шкале ответьте "
    "означает ну так там тут ведь приходилось являетесь является себя себе лично также все "
    "всего даже вот",
    "zh": "您 你 您的 你的 我 我们 他们 自己 的 了 吗 呢 吧 呐 是 是否 是不是 有 "
    "有多 有没有 多 多少 多大 程度 上 在 对 对于 和 与 及 或 或者 还是 就 都 "
    "也 很 会 会不会 能 能否 可以 应该 应当 应 觉得 认为 看来 来说 来 说 怎么 "
    "怎样 什么 如何 哪个 哪 同意 不同意 这种 说法 对此 总的来说 总体来说 总体 "
    "一般来说 一般 目前 现在 如今 这 那 一个 人们 把 被 让 使 请 种 个 里 中 "
    "时 以及 所 而 但 因为 如果 那么 其 之 于 到 从 为 给 向 当 并 又 才 "
    "最 更 特别 非常 真 情况 样 信得过",
}
ASKING: Mapping[str, frozenset[str]] = MappingProxyType(
    {language: frozenset(words.split()) for language, words in _ASKING_OF.items()}
)
# On a line, the beginnings of words that may stand for one another. Without accents.
_ALIKE_OF = {
    "de": """
        vertrau trau
        wichtig bedeut stellenwert rolle
        nachbar nebenan wohngegend viertel gegend umgebung neben wohn
        gerechtfertig rechtfertig vertretbar
        einwander zuwander migrant migrat immigr
        haufig oft regelmassig
        sorg angst befurcht
        storen storte dagegen einwand ablehn gegen wogegen
        homosex schwul lesb
        kriminal verbrech straft
        frau weib
        mann manner
        arbeit beruf job stelle
        selbstmord suizid selbsttot
        abtreib schwangerschaftsabbruch
        sterbehilfe euthanas
        bestech korrupt
        umwelt natur
        regier
        wahl gewahl abstimm
    """,
    "es": """
        confi fiar fias fio fia
        importan importar importa
        vecin barrio zona vecindario lado
        justific
        inmigra migra
        frecuen menudo seguido veces
        preocup miedo temor
        molest incomod inconvenient objec opon
        homosex gay lesb
        delincuen delit crimen crimin
        mujer mujeres
        hombre hombres varon
        trabaj empleo empleos puesto
        rez ora oracion
        partido partidos
        vot
        ejercito armad militar
        nino ninos nina ninas hijo hijos
        chico chicos varon hombre
        chica chicas mujer nina
    """,
    "pt": """
        confi
        importan importar
        vizinh bairro regiao lado
        justific
        imigra migra
        frequen costuma vezes
        preocup medo
        incomod importar importaria objec
        homosex gay lesb
        crim delinqu
        mulher mulheres esposa
        homem homens marido
        trabalh empreg
        rez ora oracao
        vot
        crianca criancas filho filhos
        acredit cre
    """,
    "ru": """
        довер
        важн значен
        сосед район рядом
        оправд допуст
        иммигр мигр приезж
        часто
        боит бою боя бесп опас
        возраж против меша
        гомосекс гей геи геев
        преступ
        женщин
        мужчин
        работ труд
        верит вера веришь верю
        молит молитв
        голос
        дет ребен
        счаст щаст
    """,
    "zh": """
        信任 信得 得过
        重要 要紧 看重
        邻居 隔壁 社区
        正当
        频繁 经常 常见 多久
        担心 害怕
        反对 介意
        同性
        幸福 快乐
        男性 男人 男的 丈夫 男孩
        女性 女人 女的 妻子 女孩
        相信 信有
        祈祷 祷告
    """,
}
# The beginnings of words for somebody who may be meant, those for the same one on a line.
_ROLES_OF = {
    "de": """
        chef vorgesetz boss arbeitgeber
        eltern
        vater
        mutter
        kind sohn sohne tochter
        lehrer
        arzt hausarzt
        frau ehefrau
        mann manner ehemann
        partner
        freund
        student
        schuler
        junge
        madchen
        jugend
        rentner
        alter
        politiker
        kolleg
        soldat
        prasident
        anwalt
        touris
        burger
        familie angehorig verwandt
    """,
    "es": """
        jefe jefa patron empleador
        padre
        madre
        hijo hija hijos hijas
        nino nina
        maestr profesor
        medico
        mujer espos
        hombre marido
        pareja
        amig
        estudiante alumn
        chico varon
        chica
        joven jovenes
        jubilad
        politicos
        companer
        soldad
        president
        abogad
        alcald
        ciudadan
        familia
    """,
    "pt": """
        chefe patrao empregador
        pai pais
        mae maes
        filho filha
        crianca
        professor
        medico medica
        mulher espos
        homem homens marido
        parceir
        amig
        estudante alun
        menino
        menina
        joven jovem
        aposentad idoso
        politicos
        coleg
        soldad
        president
        advogad
        prefeit
        avo avos
        cidada
        familia familiar
    """,
    "ru": """
        начальник босс работодател
        родител
        отец отца отцы
        мать матер мама
        дет ребен
        учител
        врач
        женщин жен
        мужчин муж
        партнер
        друз друг
        студент
        школьник
        мальчик
        девоч
        молод
        пожил
        политики
        коллег
        солдат
        президент
        адвокат
        губернатор
        гражданам граждане
        семь семье
    """,
    "zh": """
        老板 雇主
        父母
        父亲 爸爸
        母亲 妈妈
        孩子 子女 儿女
        老师
        医生
        女性 女人 妻子 女的
        男性 男人 丈夫 男的
        男孩
        女孩
        朋友
        学生
        年轻人
        老年人
        同事
        士兵
        总统
        律师
        市长
        员工
        公民
        家人 家里人 家属 至亲
    """,
}
# What is asked for where "which" asks for a fact.
_OF_FACT_ES = "partido|religion|iglesia|banco|pais|ciudad|ano|periodico|universidad|idioma"
_OF_FACT_PT = "partido|religiao|igreja|banco|pais|cidade|ano|jornal|universidade|lingua|clube"
_OF_FACT_RU = "парти|религи|вер[аыу]\\b|банк|стран|город|год|газет|университет|язык|клуб"
_OF_FACT_ZH = "宗教|政党|党|教会|银行|国家|城市|报纸|大学|语言"
# What a question may ask that another does not: how many, what should be, what was, whom others
# trust, a fact, whom one objects to, what happens where one lives. Without accents.
_KINDS_OF = {
    "de": (
        r"\bwie viele\b|\bwieviele\b",
        r"\bsoll|\bdarf|\bdurfen|\brecht\b|verbot|befugt|erlaubt",
        r"\bwar\b|\bwaren\b|\bwarst\b|\bvor \w+ jahren|\bwurde\b|bisher",
        r"trau\w* (?:ihnen|dir|mir)\b|\b(?:zu|in) (?:ihnen|dir)\b"
        r"|\b(?:ihnen|dir) (?:die|ihre|deine) ",
        r"^(?:wer (?!soll)|wo (?!lieg|steh|ordn|wurd)|(?:seit )?wann\b|wofur\b|warum\b|was machen\b"
        r"|kennen\b|(?:\w+ )?welche\w* (?!(?:\w+ )?(?:bedeut|wichtig|rolle|stellenw|gewicht|wert\b|"
        r"(?:aus)?mass|umfang|grad|art|einfluss|auswirk|folgen|ansicht|haltung|politik soll)))",
        r"dagegen|etwas gegen|was gegen|\bgegen\b|\bstor|ablehn|ungern|einwand|ausmachen",
        r"\bgegend\b|viertel\b|nachbarschaft|wohngegend|umgebung",
    ),
    "es": (
        r"\bcuantos\b|\bcuantas\b(?! veces)",
        r"\bdeb[ei]|\bderecho\b|prohib|\blegal",
        r"\bera\b|\bfue\b|\bhace \w+ anos|\bse gobernaba",
        r"confian? en (?:usted|ti)\b|\ben (?:usted|ti)\W*$",
        r"^(?:quien (?!deb)|cuando\b(?!.*,)|donde (?!(?:se )?(?:situ|ubic|coloc|pon))|conoce\b"
        r"|(?:por|a|de|con) quien\b|por que\b"
        rf"|(?:\w+ )?(?:que|cual es (?:su|tu|el|la)) (?:{_OF_FACT_ES}))",
        r"molest|incomod|inconvenien|objec|opon|importaria|problema|reparo|contra\b",
        r"vecindario|\bbarrio|\bzona\b",
    ),
    "pt": (
        r"\bquantos\b|\bquantas\b(?! vezes)",
        r"\bdeve|\bdireito|proib|\blegal",
        r"\bera\b|\bfoi\b|\bha \w+ anos|\bestudou",
        r"confiam? em voce|\bem voce\b",
        r"^(?:quem (?!deve)|quando\b(?!.*,)|onde (?!(?:voce |se )*(?:situ|coloc|posic))"
        r"|(?:por|de|com) quem\b|por que\b|o que voce faz\b|(?:voce )?conhece\b"
        rf"|(?:\w+ )?(?:que|qual(?: e [oa])?(?: sua| seu)?) (?:{_OF_FACT_PT}))",
        r"incomod|import(?:a|aria)\b|objec|opor|problema|contra\b",
        r"\bbairro|\bregiao\b|vizinhanca",
    ),
    "ru": (
        r"\bсколько\b",
        r"\bдолжн|\bследует|\bправо\b|\bправ\b|запрет|разреш|обязан|нужно ли",
        r"\bбыл[аио]?\b|\bлет назад|когда-нибудь|\bуправлялась|\bслужили",
        r"довер\w+ (?:вам|тебе)\b|(?:вам|тебе) доверя",
        r"^(?:кто (?!долж)|когда\b(?!.*,)|где (?!.*взгляд)|почему\b|зачем\b|знакомы\b"
        rf"|(?:\w+ )?как(?:о|а|у|и)\w* (?:у \w+ |ваш\w* )?(?:\w+ )?(?:{_OF_FACT_RU}))",
        r"возраж|против|меша|смутил",
        r"\bрайон",
    ),
    "zh": (
        r"多少(?!.*信任)|几个|几口|哪家",
        r"应该|应当|有权|禁止|合法",
        r"以前|年前|曾|小时候",
        r"信任[您你][吗呢吧]?\W*$",
        rf"^(?:谁|哪里|为什么)|什么时候|哪一?年|认识(?!的)|(?:什么|哪[一个家所]*)(?:{_OF_FACT_ZH})",
        r"反对|介意",
        r"社区|附近|居住|住的地方",
    ),
}


def _read_lines(lines_of: Mapping[str, str]) -> Mapping[str, tuple[tuple[str, ...], ...]]:
    return MappingProxyType(
        {
            language: tuple(tuple(line.split()) for line in lines.strip().splitlines())
            for language, lines in lines_of.items()
        }
    )


ALIKE = _read_lines(_ALIKE_OF)
ROLES = _read_lines(_ROLES_OF)
KINDS: Mapping[str, tuple[re.Pattern[str], ...]] = MappingProxyType(
    {language: tuple(map(re.compile, kinds)) for language, kinds in _KINDS_OF.items()}
)
