(* MidpoRoles.v: a prior that depends on the role (a bonus for the chosen response, weights
   by role) must share ONE normaliser between the roles. Normalised role by role, SimPO's
   gamma vanishes.                                                                      *)

From Coq Require Import Reals Lra.
From Midpo Require Import Midpo.
Open Scope R_scope.

Section Roles.
  Variables (alpha gamma pw pl Lw Ll Z0 Zp Zm zw zl : R).
  Hypothesis alpha_pos : 0 < alpha.
  Hypothesis pw_pos : 0 < pw.
  Hypothesis pl_pos : 0 < pl.
  Hypothesis Lw_pos : 0 < Lw.
  Hypothesis Ll_pos : 0 < Ll.
  Hypothesis Z0_pos : 0 < Z0.
  Hypothesis Zp_pos : 0 < Zp.
  Hypothesis Zm_pos : 0 < Zm.
  Hypothesis zw_pos : 0 < zw.
  Hypothesis zl_pos : 0 < zl.

  (** Separate normalisers shift any margin by alpha ln (Zp/Zm). *)
  Theorem separate_normalisers :
    margin alpha pw (zw / Zp) pl (zl / Zm)
    = margin alpha pw zw pl zl + alpha * ln (Zp / Zm).
  Proof. midpo. Qed.

  (** SimPO with Z_s = e^(s gamma/(2 alpha)) Z0, the normaliser of each role: the target
      margin gamma is gone. *)
  Theorem simpo_separate_normalisers :
    margin alpha
      pw (Rpower pw (1 - 1 / Lw) * exp (gamma / (2 * alpha)) / (exp (gamma / (2 * alpha)) * Z0))
      pl (Rpower pl (1 - 1 / Ll) * exp (- (gamma / (2 * alpha))) / (exp (- (gamma / (2 * alpha))) * Z0))
    = alpha / Lw * ln pw - alpha / Ll * ln pl.
  Proof. midpo. Qed.
End Roles.
