"""Tables for streets that are written in English, as plain data in folded characters for `same_place`.

Sources: USPS Publication 28 (appendices B, C1, C2), Canada Post's addressing guidelines, Australia's AS 4590, the
street types and unit types of openvenues/libpostal.
"""


def word_classes(text: str) -> dict[str, str]:
    """Read one class of words from each line. All words of a line are the same; the first one names the class."""
    lines = [line.split() for line in text.strip().splitlines()]
    return {word: line[0].upper() for line in lines for word in line}


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
    "AU": word_classes("circuit cct\nesplanade esp\nboulevarde boulevard blvd bvd boul"),
    "GB": word_classes("close cl"),
    "IE": word_classes("close cl"),
    "NZ": word_classes("close cl"),
    "CA": word_classes(f"chemin ch{_INSIDE}"),
    "US": word_classes(_INSIDE),
}

DIRECTIONS = word_classes("""
    n north
    s south
    e east
    w west
    ne northeast
    nw northwest
    se southeast
    sw southwest
""")
FRENCH_DIRECTIONS = word_classes("""
    n nord north
    s sud south
    e est east
    w ouest o west
""")
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
    "GB": word_classes("flat flt apartment apt\nunit\nfl floor flr\nroom rm\nsuite ste\nstudio"),
    "IE": word_classes("flat flt apartment apt\nunit\nfl floor flr\nroom rm\nsuite ste\nstudio"),
}
"""Words before the number of a flat, floor or room (Publication 28, 213: `#` can replace any of them)."""
