(* recovery_simpo: written from the spec with SHA-256 0e491932fed3932f8c5719f8edc7cd15b02605880eec6cd49140bdb25609cea5 *)
From Coq Require Import Reals Lra List.
From Midpo Require Import Midpo.
Open Scope R_scope.

Section Recovery.
  Context {X Y : Type}.
  Variable p_alpha : R.
  Variable p_gamma : R.
  Variable n : Y -> nat.
  Variable mass_pi : X -> Y -> R.
  Variable Z : X -> R.
  Hypothesis p_alpha_domain : 0 < p_alpha.
  Hypothesis p_gamma_domain : 0 <= p_gamma.
  Hypothesis n_positive : forall y, 0 < INR (n y).
  Hypothesis mass_pi_positive : forall x y, 0 < mass_pi x y.
  Hypothesis Z_positive : forall x, 0 < Z x.

  Definition policy (x : X) (y : Y) : R := mass_pi x y.
  Definition prior (chosen : bool) (x : X) (y : Y) : R :=
    (Rpower (mass_pi x y) (1 - 1/INR (n y)) * exp ((if chosen then p_gamma/(2 * p_alpha) else -p_gamma/(2 * p_alpha)))) / Z x.
  Definition recovered (x : X) (w l : Y) : R :=
    margin p_alpha (policy x w) (prior true x w) (policy x l) (prior false x l).
  Definition published (x : X) (w l : Y) : R :=
    p_alpha * ln (mass_pi x w)/INR (n w) - p_alpha * ln (mass_pi x l)/INR (n l) - p_gamma.
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
    unit unit (1 / 2) (1 / 2) (fun _ => 1%nat) (fun _ _ => 1 / 2) (fun _ => 1)
    ltac:(midpo_instance) ltac:(midpo_instance) ltac:(midpo_instance) ltac:(midpo_instance)
    ltac:(midpo_instance) tt tt tt.
