"""What is known about the streets of single countries, as plain data for `streets`, in folded characters.

Sources: USPS Publication 28 (appendices B, C1, C2), Canada Post's addressing guidelines, Australia's AS 4590, the
street types and unit types of openvenues/libpostal.
"""

# ruff: noqa: RUF001 - Cyrillic words are meant


def _classes(text: str) -> dict[str, str]:
    """Read one class a line: the first word names it, all words of the line are one."""
    lines = [line.split() for line in text.strip().splitlines()]
    return {word: line[0].upper() for line in lines for word in line}


# Streets where English is written

ENGLISH = frozenset("US CA GB AU IE NZ ZA IM JE GG IN SG".split())

ENGLISH_WORDS = _classes("""
    alley aly ally
    avenue ave av aven avn avenu
    beach bch
    bend bnd
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
    lower lwr
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
"""One word in several spellings, wherever it stands: `St` may be Street or Saint, but no two places differ by which."""

ENGLISH_WORDS_OF: dict[str, dict[str, str]] = {
    "AU": _classes("circuit cct\nesplanade esp\nboulevarde boulevard blvd bvd boul"),
    "GB": _classes("close cl"),
    "IE": _classes("close cl"),
    "NZ": _classes("close cl"),
    "CA": _classes("chemin ch"),
}

DIRECTIONS = _classes("""
    n north
    s south
    e east
    w west
    ne northeast
    nw northwest
    se southeast
    sw southwest
""")
FRENCH_DIRECTIONS = _classes("""
    n nord north
    s sud south
    e est east
    w ouest o west
""")
NAMED_AFTER = frozenset({"STREET", "BOULEVARD", "AVENUE"})
"""Street types that French writes before the name, English after it."""
FRENCH_TYPES = {"rue": "STREET", "boul": "BOULEVARD", "boulevard": "BOULEVARD", "bd": "BOULEVARD", "av": "AVENUE"} | {
    "ave": "AVENUE",
    "avenue": "AVENUE",
}

ORDINALS = dict(
    zip(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(),
        "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th 11th 12th".split(),
        strict=True,
    )
)

_UNITS = _classes("""
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
    "US": _UNITS | _classes("unit apt apartment apmt ste suite #"),
    "CA": _UNITS | _classes("unit apt apartment app appartement ste suite bureau #"),
    "AU": _UNITS | _classes("unit apt apartment flat u #\nshop\nlevel lvl\nsuite ste\nvilla"),
    "NZ": _UNITS | _classes("unit apt apartment flat #\nshop\nlevel lvl\nsuite ste"),
    "GB": _classes("flat flt apartment apt\nunit\nfl floor flr\nroom rm\nsuite ste\nstudio"),
    "IE": _classes("flat flt apartment apt\nunit\nfl floor flr\nroom rm\nsuite ste\nstudio"),
}
"""Words before the number of what lies inside a house (Publication 28, 213: `#` stands for any)."""

# Streets elsewhere

WORDS: dict[str, dict[str, str]] = {
    "AE": _classes("road rd\nstreet st\nbuilding bldg\nvilla"),
    "AR": _classes("avenida av avda\ncalle\ndpto departamento depto\npiso"),
    "BE": _classes("bus bte boite box\nrue r\navenue av ave\nboulevard bd boul blvd\nplace pl\nchaussee chee"),
    "BR": _classes("""avenida av
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
    "CH": _classes("rue r\navenue av ave\nplatz pl\nchemin ch"),
    "CL": _classes("avenida av avda\ndepto departamento dpto"),
    "CO": _classes("""calle cl cll
        carrera cra kr kra cr
        diagonal dg diag
        transversal tv tr transv
        avenida av avda
        apto apartamento apt ap
        torre
        interior int"""),
    "CZ": _classes("namesti nam\ntrida tr"),
    "DE": _classes("platz pl\nhinterhaus hh\nvorderhaus vh\nseitenfluegel sf"),
    "DK": _classes("stuen st"),
    "EG": _classes("street st\nroad rd"),
    "ES": _classes("""avenida av avda avd
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
    "FR": _classes("""boulevard bd boul bld blvd
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
    "HU": _classes("utca u\nkorut krt\nemelet em\nfoldszint fsz fszt"),
    "ID": _classes("jalan jl jln"),
    "IT": _classes("""viale vle
        piazza pza
        corso cso
        largo lgo
        interno int
        scala sc
        localita loc
        strada str"""),
    "KE": _classes("road rd\nstreet st\navenue ave"),
    "MX": _classes("""avenida av avda
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
    "MY": _classes("jalan jl jln"),
    "NO": _classes("gate gt"),
    "PH": _classes("street st\navenue ave\nroad rd\nbarangay brgy"),
    "PL": _classes("aleja al aleje\nplac pl\nosiedle os"),
    "PT": _classes("""avenida av
        travessa tv trav
        praca pca
        largo lgo
        estrada estr
        direito dto
        esquerdo esq
        apartamento apto ap apt
        bloco bl"""),
    "RU": _classes("""улица ул
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
    "SA": _classes("street st\nroad rd\nbuilding bldg"),
    "SE": _classes("lgh lagenhet"),
    "TR": _classes("""mahallesi mah mh mahalle
        sokak sok sk sokagi
        caddesi cad cd cadde
        bulvari bulv blv bulvar bul
        apartmani apt apartman ap
        daire d
        kat k"""),
    "UA": _classes("""вулиця вул
        проспект пр просп прт
        провулок пров
        площа пл
        бульвар бр бул
        корпус корп к
        квартира кв"""),
}

FIRST_WORDS: dict[str, dict[str, str]] = {
    "AR": _classes("calle c"),
    "BR": _classes("rua r"),
    "CL": _classes("calle c"),
    "ES": _classes("calle c cl"),
    "FR": _classes("rue r"),
    "IT": _classes("via v"),
    "PT": _classes("rua r"),
}
"""Words that are short for something only at the start of a line, or right after the number there."""

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
_AL = (r"\b(?:al|el|ال)[\s-]+(?=[^\W\d])", "al")

REWRITES: dict[str, tuple[tuple[str, str], ...]] = {
    "AE": (_AL,),
    "AR": (_NUMBERED,),
    "AT": (
        (r"(?:strasse|str)(?![^\W\d_])", "str"),
        (r"(\d[a-z]?)[\s,]*\b(?:stiege|stg)\.?\s*(\d+)[\s,]*\b(?:tuer|tur|top)\.?\s*(\d+)", r"\1/\2/\3"),
        (r"(\d[a-z]?)[\s,]*\b(?:tuer|tur|top)\.?\s*(\d+)", r"\1/\2"),
        _NUMBERED,
    ),
    "BE": ((r"\bbus\b|\bbte\b|\bboite\b|(?<=\d)\s+b\s*(?=\d)", " bus "), _NUMBERED),
    "BR": (_NUMBERED,),
    "CH": ((r"(?:strasse|str)(?![^\W\d_])", "str"), _NUMBERED),
    "CL": (_NUMBERED,),
    "CN": (
        (r"(\d+)\s*(?:号楼|栋|幢|座)\s*(\d+)\s*单元\s*(\d+)\s*[室号]?", r" \1-\2-\3 "),
        (r"(?<=\d)[号號](?!楼)", " "),
    ),
    "CO": (_NUMBERED,),
    "DE": ((r"(?:strasse|str)(?![^\W\d_])", "str"), _NUMBERED),
    "EG": (_AL,),
    "ES": (
        (r"\bc/", "c "),
        (r"\bp[oº]\.?\s+de\b", "paseo de"),
        _NUMBERED,
    ),
    "FR": ((r"\bn[o°]\s*\.?\s*(?=\d)", " "),),
    "GB": ((r"^\s*no\.?\s*(?=\d)", ""),),
    "HU": (
        (r"\biii\b\.?\s*em", "3 em"),
        (r"\bii\b\.?\s*em", "2 em"),
        (r"\biv\b\.?\s*em", "4 em"),
        (r"\bv\b\.?\s*em", "5 em"),
        (r"\bi\b\.?\s*em", "1 em"),
    ),
    "ID": (_NUMBERED,),
    "IE": ((r"^\s*no\.?\s*(?=\d)", ""), (r"\bdublin\s+\d+w?\b", " ")),
    "IN": ((r"\bno\s*[.:]?\s*(?=\d)", " "),),
    "IT": (
        (r"\bp\.\s*z?za\b", "piazza "),
        (r"\bc\.\s*so\b", "corso "),
        (r"\bv\.\s*le\b", "viale "),
        (r"\bl\.\s*go\b", "largo "),
        _NUMBERED,
    ),
    "JP": (
        *((k + "(?=丁目)", str(number)) for number, k in enumerate("一二三四五六七八九", 1)),
        (r"(?<=\d)\s*丁目\s*", "-"),
        (r"(?<=\d)\s*-?\s*chome\b\s*-?\s*", "-"),
        (r"(?<=\d)\s*番地?\s*の?\s*(?=\d)", "-"),
        (r"(?<=\d)\s*番地?(?![町館街])", " "),
        (r"(?<=\d)\s*号室", " "),
        (r"(?<=\d)\s*号(?![棟館車])", " "),
        (r"(?<=\d)\s*[のノ]\s*(?=\d)", "-"),
    ),
    "KR": ((r"(\d+)\s*동\s*(\d+)\s*호", r" \1-\2 "),),
    "MX": (_NUMBERED,),
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
    "PT": (_NUMBERED,),
    "RU": (
        (r"\bпр-(?:кт|т)\b", "пр"),
        (r"\bб-р\b", "бр"),
        (r"(\d[а-я]?)\s*,?\s*\b(?:кв|квартира)\.?\s*(\d+)", r"\1-\2"),
    ),
    "SA": (_AL,),
    "SG": ((r"#\s*0+(?=\d)", "#"), (r"#", " ")),
    "TR": (
        (r"\bno\s*[.:]*\s*(\d+[a-z]?)[\s,]*\b(?:d|daire)\b\s*[.:]*\s*(\d)", r" \1/\2"),
        (r"\bno\s*[.:]*\s*(?=\d)", " "),
    ),
    "TW": (
        (r"(?<=\d)\s*之\s*(?=\d)", "-"),
        (r"(?<=\d)\s*(?:樓|楼|f\b)", "樓"),
        *((k + "(?=[樓楼])", str(number)) for number, k in enumerate("一二三四五六七八九", 1)),
        (r"楼", "樓"),
    ),
    "UA": (
        (r"\bпр-(?:кт|т)\b", "пр"),
        (r"(\d[а-я]?)\s*,?\s*\b(?:кв|квартира)\.?\s*(\d+)", r"\1-\2"),
    ),
    "HK": ((r"(?<=\d)\s*/\s*f\b", "f"), (r"(\d+)(?:st|nd|rd|th)\s+floor\b", r"\1f")),
}
"""Per country: what is written, and what it is read as, one after the other."""
