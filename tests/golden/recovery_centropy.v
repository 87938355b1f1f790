(* recovery_centropy: written from the spec with SHA-256 aa5a6647a0b17963889771d8178fffadbd87456769d9fabd4165679fd88b7b2f *)
From Coq Require Import Reals Lra List.
From Midpo Require Import Midpo.
Open Scope R_scope.

Section Recovery.
  Context {X Y : Type}.
  Variable p_alpha : R.
  Variable p_eta : R.
  Variable mass_pi : X -> Y -> R.
  Variable mass_pi_ref : X -> Y -> R.
  Variable Z : X -> R.
  Hypothesis p_alpha_domain : 0 < p_alpha.
  Hypothesis p_eta_domain : 0 < p_eta.
  Hypothesis mass_pi_positive : forall x y, 0 < mass_pi x y.
  Hypothesis mass_pi_ref_positive : forall x y, 0 < mass_pi_ref x y.
  Hypothesis Z_positive : forall x, 0 < Z x.

  Definition policy (x : X) (y : Y) : R := mass_pi x y.
  Definition prior (chosen : bool) (x : X) (y : Y) : R :=
    (Rpower (mass_pi x y) (1 - p_eta) * mass_pi_ref x y) / Z x.
  Definition recovered (x : X) (w l : Y) : R :=
    margin p_alpha (policy x w) (prior true x w) (policy x l) (prior false x l).
  Definition published (x : X) (w l : Y) : R :=
    p_alpha * ln (Rpower (mass_pi x w) p_eta/mass_pi_ref x w) - p_alpha * ln (Rpower (mass_pi x l) p_eta/mass_pi_ref x l).
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
    unit unit (1 / 2) (1 / 2) (fun _ _ => 1 / 2) (fun _ _ => 1 / 2) (fun _ => 1)
    ltac:(midpo_instance) ltac:(midpo_instance) ltac:(midpo_instance) ltac:(midpo_instance)
    ltac:(midpo_instance) tt tt tt.
