(* refutation_rdpo: written from the spec with SHA-256 4d9027dc19f10907c8055cab00dc1dd25a8c3729929206a2063265c06aee476e *)
From Coq Require Import Reals Lra List.
From Midpo Require Import Midpo MidpoPoint.
Import ListNotations.
Open Scope R_scope.

#[local] Notation X := unit (only parsing).
#[local] Notation Y := bool (only parsing).
#[local] Notation V := nat (only parsing).
(* true is the chosen response, false the rejected one *)
Definition word (y : Y) : list nat := if y then [0]%nat else [2; 0]%nat.
Definition tree_pi : tree :=
  [([]%nat, (2, 3, 1, 3)%nat);
   ([2]%nat, (3, 2, 1, 3)%nat)].
Definition tree_pi_ref : tree :=
  [([]%nat, (3, 1, 3, 2)%nat);
   ([2]%nat, (3, 1, 2, 3)%nat)].
Definition p_alpha : R := (1 / 2).
Definition p_beta : R := (1 / 2).
Definition n : Y -> nat := fun y => length (word y).
Definition mass_pi : X -> Y -> R := fun x y => prodn (length (word y)) (fun t => law_after tree_pi (firstn t (word y)) (nth t (word y) 0%nat)).
Definition mass_pi_ref : X -> Y -> R := fun x y => prodn (length (word y)) (fun t => law_after tree_pi_ref (firstn t (word y)) (nth t (word y) 0%nat)).

Definition policy (x : X) (y : Y) : R := mass_pi x y.
Definition prior (chosen : bool) (x : X) (y : Y) : R :=
    (mass_pi_ref x y * exp (p_beta * INR (n y))).
Definition recovered (x : X) (w l : Y) : R :=
    margin p_alpha (policy x w) (prior true x w) (policy x l) (prior false x l).
Definition published (x : X) (w l : Y) : R :=
    p_alpha * ln (mass_pi x w/mass_pi_ref x w) + p_alpha * p_beta * INR (n w) - p_alpha * ln (mass_pi x l/mass_pi_ref x l) - p_alpha * p_beta * INR (n l).
Definition loss_of (x : X) (w l : Y) (m : R) : R :=
    - logsigmoid m.

Theorem refuted :
    (0 < p_alpha) /\
    (forall y, 0 < INR (n y)) /\
    (forall x y, 0 < mass_pi x y) /\
    (forall x y, 0 < mass_pi_ref x y) /\
    proper tree_pi /\
    proper tree_pi_ref /\
    published tt true false - recovered tt true false = ((-1 / 2)) /\
    ((-1 / 2)) <> 0.
Proof.
  cbv delta [policy prior recovered published loss_of p_alpha p_beta n mass_pi mass_pi_ref tree_pi tree_pi_ref word margin]. cbv beta iota.
  timeout 20 midpo_refuted.
Qed.
