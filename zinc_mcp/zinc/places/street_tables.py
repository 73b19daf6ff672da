"""Tables for streets, as plain data in folded characters for `reading`.

Sources: USPS Publication 28 (appendices B, C1, C2), Canada Post's addressing guidelines, Australia's AS 4590, the
street types and unit types of openvenues/libpostal; the rest is common knowledge of each language.
"""

# ruff: noqa: RUF001 - Cyrillic words are meant


def word_classes(text: str) -> dict[str, str]:
    """Read one class of words from each line. All words of a line are the same; the first one names the class."""
    lines = [line.split() for line in text.strip().splitlines()]
    return {word: line[0].upper() for line in lines for word in line}


# Streets that are not written in English

WORDS: dict[str, dict[str, str]] = {
    "AE": word_classes("road rd\nstreet st\nbuilding bldg\nvilla"),
    "AR": word_classes("avenida av avda\ncalle\ndpto departamento depto\npiso"),
    "BE": word_classes("bus bte boite box\nrue r\navenue av ave\nboulevard bd boul blvd\nplace pl\nchaussee chee"),
    "BR": word_classes("""avenida av
        apto ap apt apartamento
        bloco bl
        travessa tv trav
        alameda al
        praca pca pc
        rodovia rod
        estrada estr
        conjunto cj conj
        quadra qd
        lote lt"""),
    "CH": word_classes("rue r\navenue av ave\nplatz pl\nchemin ch"),
    "CL": word_classes("avenida av avda\ndepto departamento dpto"),
    "CO": word_classes("""calle cl cll
        carrera cra kr kra cr
        diagonal dg diag
        transversal tv tr transv
        avenida av avda
        apto apartamento apt ap
        torre
        interior int"""),
    "CZ": word_classes("namesti nam\ntrida tr"),
    "DE": word_classes("platz pl\nhinterhaus hh\nvorderhaus vh\nseitenfluegel sf"),
    "DK": word_classes("stuen st"),
    "EG": word_classes("street st\nroad rd"),
    "ES": word_classes("""avenida av avda avd
        plaza pza plza pl
        paseo pso
        carretera ctra
        izquierda izq izqda izda
        derecha dcha der drcha
        escalera esc
        puerta pta
        urbanizacion urb
        apartamento apto apt
        poligono pol
        travesia trav"""),
    "FR": word_classes("""boulevard bd boul bld blvd
        avenue av ave
        saint st
        sainte ste
        place pl
        allee all
        chemin ch che chem
        impasse imp
        route rte
        faubourg fg fbg
        square sq
        batiment bat
        escalier esc
        appartement appt apt app
        residence res
        lotissement lot"""),
    "HU": word_classes("utca u\nkorut krt\nemelet em\nfoldszint fsz fszt"),
    **dict.fromkeys(("ID", "MY"), word_classes("jalan jl jln")),
    "IT": word_classes("""viale vle
        piazza pza
        corso cso
        largo lgo
        interno int
        scala sc
        localita loc
        strada str"""),
    "KE": word_classes("road rd\nstreet st\navenue ave"),
    "MX": word_classes("""avenida av avda
        calle c
        colonia col
        interior int
        exterior ext
        boulevard blvd bulevar
        calzada calz
        departamento depto dpto dep
        manzana mz mza
        lote lt
        fraccionamiento fracc"""),
    "NO": word_classes("gate gt"),
    "PH": word_classes("street st\navenue ave\nroad rd\nbarangay brgy"),
    "PL": word_classes("aleja al aleje\nplac pl\nosiedle os"),
    "PT": word_classes("""avenida av
        travessa tv trav
        praca pca
        largo lgo
        estrada estr
        direito dto
        esquerdo esq
        apartamento apto ap apt
        bloco bl"""),
    "RU": word_classes("""улица ул
        проспект пр просп прт пркт
        переулок пер
        площадь пл
        бульвар бр бул
        шоссе ш
        набережная наб
        проезд прд
        корпус корп к
        строение стр
        квартира кв
        литера лит литер
        микрорайон мкр"""),
    "SA": word_classes("street st\nroad rd\nbuilding bldg"),
    "SE": word_classes("lgh lagenhet"),
    "TR": word_classes("""mahallesi mah mh mahalle
        sokak sok sk sokagi
        caddesi cad cd cadde
        bulvari bulv blv bulvar bul
        apartmani apt apartman ap
        daire d
        kat k"""),
    "UA": word_classes("""вулиця вул
        проспект пр просп прт
        провулок пров
        площа пл
        бульвар бр бул
        корпус корп к
        квартира кв"""),
}

FIRST_WORDS: dict[str, dict[str, str]] = {
    **dict.fromkeys(("AR", "CL"), word_classes("calle c")),
    **dict.fromkeys(("BR", "PT"), word_classes("rua r")),
    "ES": word_classes("calle c cl"),
    "FR": word_classes("rue r"),
    "IT": word_classes("via v"),
}
"""Abbreviations that count only at the start of a line, or right after the number there."""

DROPPED: dict[str, frozenset[str]] = {
    "PL": frozenset({"ul", "ulica"}),
    "RU": frozenset({"д", "дом"}),
    "UA": frozenset({"буд", "будинок"}),
    "DK": frozenset({"sal"}),
}
"""Words that may be left out."""

TYPES_ANYWHERE: dict[str, frozenset[str]] = {
    "RU": frozenset({"УЛИЦА", "ПРОСПЕКТ", "ПЕРЕУЛОК", "ПЛОЩАДЬ", "БУЛЬВАР", "ШОССЕ", "НАБЕРЕЖНАЯ", "ПРОЕЗД"}),
    "UA": frozenset({"ВУЛИЦЯ", "ПРОСПЕКТ", "ПРОВУЛОК", "ПЛОЩА", "БУЛЬВАР"}),
}
"""Street types that stand before the name or after it."""

_NUMBER_WORD = r"\b(?:nr|no|num|numero|number|№|n°|n\.\s*o)\s*[.:]{0,2}\s*(?=\d)"
_NUMBERED = (_NUMBER_WORD, " ")
_APART = (r"\s-\s", " ")
"""A dash in the place of a comma."""
_AL = (r"\b(?:al|el|ال)[\s-]+(?=[^\W\d])", "al")

COUNTED: dict[str, str] = {
    "JP": "(?=丁目|番(?![町館街])|号(?![棟館車]))",
    "TW": "(?=[段樓楼])",
}
"""Patterns after a number that may be written in Chinese numerals."""

SHORTER: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(("DE", "AT", "CH", "LI"), ((r"(?<![aeiouyq])([aou])e", r"\1"),)),
    **dict.fromkeys(("DK", "NO", "FO", "GL"), (("oe", "o"), ("aa", "a"))),
}
"""Sounds of a street's name that can be written with two letters or one. Names of people are not rewritten so."""

REWRITES: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(("AE", "EG", "SA"), (_AL,)),
    **dict.fromkeys(("AR", "CL", "CO", "ID", "MX"), (_NUMBERED,)),
    **dict.fromkeys(("BR", "PT"), (_NUMBERED, _APART)),
    **dict.fromkeys(("GB", "IE"), ((r"^\s*no\.?\s*(?=\d)", ""),)),
    "AT": (
        (r"(?:strasse|str)(?![^\W\d_])", "str"),
        (r"(\d[a-z]?)[\s,]*\b(?:stiege|stg)\.?\s*(\d+)[\s,]*\b(?:tuer|tur|top)\.?\s*(\d+)", r"\1/\2/\3"),
        (r"(\d[a-z]?)[\s,]*\b(?:tuer|tur|top)\.?\s*(\d+)", r"\1/\2"),
        _NUMBERED,
    ),
    "BE": ((r"\bbus\b|\bbte\b|\bboite\b|(?<=\d)\s+b\s*(?=\d)", " bus "), _NUMBERED),
    "CH": ((r"(?:strasse|str)(?![^\W\d_])", "str"), _NUMBERED),
    "CN": (
        (r"(\d+)\s*(?:号楼|栋|幢|座)\s*(\d+)\s*单元\s*(\d+)\s*[室号]?", r" \1-\2-\3 "),
        (r"(?<=\d)[号號](?!楼)", " "),
    ),
    "DE": ((r"(?:strasse|str)(?![^\W\d_])", "str"), (r"pl\.(?=\s*\d)", "platz"), _NUMBERED),
    "ES": ((r"\bc/", "c "), (r"\bp[oº]\.?\s+de\b", "paseo de"), _NUMBERED, _APART),
    "FR": ((r"\bn[o°]\s*\.?\s*(?=\d)", " "),),
    "HU": (
        (r"\biii\b\.?\s*em", "3 em"),
        (r"\bii\b\.?\s*em", "2 em"),
        (r"\biv\b\.?\s*em", "4 em"),
        (r"\bv\b\.?\s*em", "5 em"),
        (r"\bi\b\.?\s*em", "1 em"),
    ),
    "IN": ((r"\bno\s*[.:]?\s*(?=\d)", " "),),
    "IT": (
        (r"\bp\.\s*z?za\b", "piazza "),
        (r"\bc\.\s*so\b", "corso "),
        (r"\bv\.\s*le\b", "viale "),
        (r"\bl\.\s*go\b", "largo "),
        _NUMBERED,
        _APART,
    ),
    "JP": (
        (r"(?<=\d)\s*丁目\s*", "-"),
        (r"(?<=\d)\s*-?\s*chome\b\s*-?\s*", "-"),
        (r"(?<=\d)\s*番地?\s*の?\s*(?=\d)", "-"),
        (r"(?<=\d)\s*番地?(?![町館街])", " "),
        (r"(?<=\d)\s*号室", " "),
        (r"(?<=\d)\s*号(?![棟館車])", " "),
        (r"(?<=\d)\s*[のノ]\s*(?=\d)", "-"),
        (r"(\d+-\d+-\d+)[\s,#]+(?=\d)", r"\1-"),
    ),
    "KR": ((r"(\d+)\s*동\s*(\d+)\s*호", r" \1-\2 "),),
    "NL": (
        (r"(?:straat|str)(?![^\W\d_])", "str"),
        (r"(?<=\d)[\s/-]+iv\b", " 4"),
        (r"(?<=\d)[\s/-]+iii\b", " 3"),
        (r"(?<=\d)[\s/-]+ii\b", " 2"),
        (r"(?<=\d)[\s/-]+i\b", " 1"),
        (r"(?<=\d)[\s/-]+(?=\d)", " "),
        (r"\bnr\.?\s*(?=\d)", " "),
    ),
    "PL": (_NUMBERED, (r"(\d[a-z]?)\s*,?\s*\b(?:m|mieszk|mieszkanie)\.?\s*(\d)", r"\1/\2")),
    "RU": (
        (r"\bпр-(?:кт|т)\b", "пр"),
        (r"\bб-р\b", "бр"),
        (r"(?<=\d)\s*к\s*(?=\d)", " корп "),
        (r"(\d[а-я]?)\s*,?\s*\b(?:кв|квартира)\.?\s*(\d+)", r"\1-\2"),
    ),
    "SG": ((r"#\s*0+(?=\d)", "#"), (r"#", " ")),
    "TR": (
        (r"\bno\s*[.:]*\s*(\d+[a-z]?)[\s,]*\b(?:d|daire)\b\s*[.:]*\s*(\d)", r" \1/\2"),
        (r"\bno\s*[.:]*\s*(?=\d)", " "),
    ),
    "TW": (
        (r"(\d+)\s*[號号]\s*之\s*(\d+)", r"\1-\2號"),
        (r"(?<=\d)\s*之\s*(?=\d)", "-"),
        (r"(?<=\d)\s*(?:樓|楼|f\b)", "樓"),
        (r"楼", "樓"),
    ),
    "UA": (
        (r"\bпр-(?:кт|т)\b", "пр"),
        (r"(\d[а-я]?)\s*,?\s*\b(?:кв|квартира)\.?\s*(\d+)", r"\1-\2"),
    ),
    "HK": ((r"(?<=\d)\s*/\s*f\b", "f"), (r"(\d+)(?:st|nd|rd|th)\s+floor\b", r"\1f")),
}
"""Replacements by country, applied one after the other: a pattern and its replacement."""

# Streets that are written in English

ENGLISH = frozenset("US CA GB AU IE NZ ZA IM JE GG IN SG".split())

ENGLISH_WORDS = word_classes("""
    alley aly ally
    avenue ave av aven avn avenu
    beach bch
    bend bnd
    block blk
    boulevard blvd boul bvd blv
    bridge brg
    broadway bdwy
    bypass byp
    causeway cswy
    center ctr centre cntr
    circle cir circ crcl
    close
    corner cor
    court ct crt
    cove cv
    creek crk
    crescent cres cresc crsnt
    crossing xing crssng
    drive dr drv doctor
    expressway expy expwy
    extension ext extn
    field fld
    fort ft
    freeway fwy frwy
    garden gdn
    gardens gdns
    glen gln
    green grn
    grove grv gro
    harbor hbr harbour
    heights hts
    highway hwy hiway hway
    hills hls
    hollow holw
    industrial ind
    junction jct jctn
    lake lk
    landing lndg
    lane ln
    lower lwr lowr
    manor mnr
    meadow mdw
    meadows mdws
    mount mt mnt
    mountain mtn
    orchard orch
    parade pde
    park pk
    parkway pkwy pky parkwy
    place pl
    plaza plz
    point pt pnt
    ranch rnch
    ridge rdg
    road rd
    route rte
    sainte ste suite
    spring spg
    springs spgs
    square sq sqr
    station stn sta
    street st str saint strt
    terrace ter terr tce
    trace trce
    track trk
    trail trl
    turnpike tpke trnpk
    valley vly
    view vw
    village vlg
    vista vis
    walk wlk
    way wy
""")
"""Words with several spellings. `St` may be Street or Saint, but no two places differ only in that."""

_INSIDE = "\nbasement bsmt\nfront frnt\nlobby lbby\noffice ofc\npenthouse ph\nupper uppr"
ENGLISH_WORDS_OF: dict[str, dict[str, str]] = {
    **dict.fromkeys(("GB", "IE", "NZ"), word_classes("close cl")),
    "AU": word_classes("circuit cct\nesplanade esp\nboulevarde boulevard blvd bvd boul"),
    "CA": word_classes(f"chemin ch{_INSIDE}"),
    "US": word_classes(_INSIDE),
}

DIRECTIONS = word_classes("n north\ns south\ne east\nw west\nne northeast\nnw northwest\nse southeast\nsw southwest")
FRENCH_DIRECTIONS = word_classes("n nord north\ns sud south\ne est east\nw ouest o west")
FRENCH_TYPES: dict[str, str] = {
    "rue": "STREET",
    **dict.fromkeys(("boul", "boulevard", "bd"), "BOULEVARD"),
    **dict.fromkeys(("av", "ave", "avenue"), "AVENUE"),
}
"""Street types that French writes before the name, English after it."""

ORDINALS: dict[str, str] = dict(
    zip(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(),
        "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th 11th 12th".split(),
        strict=True,
    )
)

_SPELLED = (
    "one two three four five six seven eight nine ten eleven twelve thirteen/thirteenth fourteen/fourteenth "
    "fifteen/fifteenth sixteen/sixteenth seventeen/seventeenth eighteen/eighteenth nineteen/nineteenth"
)
NUMBER_WORDS = {word: str(at) for at, words in enumerate(_SPELLED.split(), 1) for word in words.split("/")}
"""Numbers spelled out, beside `ORDINALS`: `One World Trade Center` is likely number 1."""

_UNITS = word_classes("""
    bldg building
    dept department
    fl floor flr
    hngr hangar
    lot
    pmb
    rm room
    spc space
    trlr trailer
""")
UNITS: dict[str, dict[str, str]] = {
    "US": _UNITS | word_classes("unit apt apartment apmt ste suite #"),
    "CA": _UNITS | word_classes("unit apt apartment app appartement ste suite bureau #"),
    "AU": _UNITS | word_classes("unit apt apartment flat u #\nshop\nlevel lvl\nsuite ste\nvilla"),
    "NZ": _UNITS | word_classes("unit apt apartment flat #\nshop\nlevel lvl\nsuite ste"),
    **dict.fromkeys(
        ("GB", "IE"), word_classes("flat flt apartment apt\nunit\nfl floor flr\nroom rm\nsuite ste\nstudio")
    ),
}
"""Words before the number of a flat, floor or room (Publication 28, 213: `#` can replace any of them)."""
