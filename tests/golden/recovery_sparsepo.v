(* recovery_sparsepo: written from the spec with SHA-256 2207b0b64a8842884afec3f1f941a968c930c7f3b73ac34101cd9cc4395868cc *)
From Coq Require Import Reals Lra List.
From Midpo Require Import Midpo.
Open Scope R_scope.

Section Recovery.
  Context {X Y V : Type}.
  Variable p_alpha : R.
  Variable n : Y -> nat.
  Variable tok : Y -> nat -> V.
  Variable vocab : list V.
  Variable law_pi : X -> Y -> nat -> V -> R.
  Variable law_pi_ref : X -> Y -> nat -> V -> R.
  Variable f_mu1 : X -> Y -> nat -> R.
  Variable f_mu2 : X -> Y -> nat -> R.
  Variable Z : X -> R.
  Hypothesis p_alpha_domain : 0 < p_alpha.
  Hypothesis n_positive : forall y, 0 < INR (n y).
  Hypothesis law_pi_positive : forall x y t v, 0 < law_pi x y t v.
  Hypothesis law_pi_ref_positive : forall x y t v, 0 < law_pi_ref x y t v.
  Hypothesis Z_positive : forall x, 0 < Z x.

  Definition policy (x : X) (y : Y) : R := seq_prob (law_pi x y) (tok y) (n y).
  Definition prior (chosen : bool) (x : X) (y : Y) : R :=
    (exp (sumn (n y) (fun t0 => ln (Rpower (law_pi x y t0 (tok y t0)) (1 - f_mu1 x y t0) * Rpower (law_pi_ref x y t0 (tok y t0)) (f_mu1 x y t0)) - f_mu2 x y t0 * KL vocab (law_pi_ref x y t0) (law_pi x y t0)))) / Z x.
  Definition recovered (x : X) (w l : Y) : R :=
    margin p_alpha (policy x w) (prior true x w) (policy x l) (prior false x l).
  Definition published (x : X) (w l : Y) : R :=
    p_alpha * sumn (n w) (fun t0 => f_mu2 x w t0 * KL vocab (law_pi_ref x w t0) (law_pi x w t0)) + sumn (n w) (fun t0 => p_alpha * f_mu1 x w t0 * ln (law_pi x w t0 (tok w t0)/law_pi_ref x w t0 (tok w t0))) - p_alpha * sumn (n l) (fun t0 => f_mu2 x l t0 * KL vocab (law_pi_ref x l t0) (law_pi x l t0)) - sumn (n l) (fun t0 => p_alpha * f_mu1 x l t0 * ln (law_pi x l t0 (tok l t0)/law_pi_ref x l t0 (tok l t0))).
  Definition loss_of (x : X) (w l : Y) (m : R) : R :=
    - logsigmoid m.
  #[local] Hint Unfold policy prior recovered published : midpo.
  #[local] Hint Unfold loss_of : midpo_loss.

  Theorem margins_agree x w l : recovered x w l = published x w l.
  Proof using All. timeout 20 midpo. Qed.

  Theorem losses_agree (E : (X * Y * Y -> R) -> R) :
    E (fun '(x, w, l) => loss_of x w l (published x w l))
    = E (fun '(x, w, l) => loss_of x w l (recovered x w l)).
  Proof using All.
    apply operator_eq. intros [[x w] l]. now rewrite margins_agree.
  Qed.
End Recovery.

(* The hypotheses hold together somewhere. *)
Definition satisfiable := @margins_agree
    unit unit bool (1 / 2) (fun _ => 1%nat) (fun _ _ => true) (cons true (cons false nil))
    (fun _ _ _ _ => 1 / 2) (fun _ _ _ _ => 1 / 2) (fun _ _ _ => 1 / 2) (fun _ _ _ => 1 / 2)
    (fun _ => 1) ltac:(midpo_instance) ltac:(midpo_instance) ltac:(midpo_instance)
    ltac:(midpo_instance) ltac:(midpo_instance) tt tt tt.
