"""The commands of the command line, a file each: options, and nothing decided.

    audit     `midpo audit`: what a recovery does and does not mean
    certify   `midpo certify`: recoveries as theorems for the proof kernel of Coq
    compare   `midpo compare`: how two losses differ
    derive    `midpo derive`
    list      `midpo list`
    map       `midpo map`: the family of losses, as a drawing or as data
    optimise  `midpo optimise`: exact problems on finite sets, solved, checked and plotted
    options   options that several commands have, each said once
"""
