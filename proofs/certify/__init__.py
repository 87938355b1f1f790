"""Recoveries and refutations as theorems for Coq's kernel, and what it read, read back.

certificate          certificates
library              the library of certificates
printer              expression -> term of Coq, in the words of rocq/Midpo.v
readback             what a compiled theorem says
readback_refutation  what a compiled refutation says
reader               a term that Coq printed, as an expression
recovery             a recovery as a theorem of Coq
refutation           a refutation as a theorem of Coq
runner               running coqc and coqchk
statement            what a certificate states, as lines of Coq
terms                Coq's printing of a term, parsed
"""
